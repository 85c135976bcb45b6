//! Microsoft cabinets (MS-CAB): where the parts lie, and their unpacking under caps.
//!
//! The tables are read here, where every offset and size is held against the file and against [`Limits`] before anything
//! is unpacked. The `cab` crate does the unpacking (MSZIP, LZX) and checks the blocks' checksums. It reads a member by
//! unpacking its folder from the start, and TrustedTpm.cab has two thousand members in one folder; so each folder is
//! given to it as one member, and is cut here.

use std::collections::{BTreeMap, HashSet};
use std::io::{Cursor, Read, Write};
use std::ops::Range;

/// What an archive may hold. Each limit is far above the largest real package (2,193 members, 5.3 MB, ratio 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most members: 20,000.
    pub members: usize,
    /// The most bytes of one member: 4 MiB. Certificates have at most 3 KiB, version.txt 120 KB.
    pub member: u64,
    /// The most bytes of all members together, unpacked: 128 MiB.
    pub total: u64,
    /// The most times that a cabinet may grow: 64. DEFLATE reaches 1,000 with nothing in it but one byte.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { members: 20_000, member: 4 << 20, total: 128 << 20, ratio: 64 }
    }
}

/// Why octets are not a cabinet that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CabinetError {
    /// It does not begin as a cabinet does.
    #[error("not a cabinet file")]
    NotACabinet,
    /// A table or a block lies outside the file.
    #[error("not a sound cabinet: {0} lies outside the file")]
    Outside(&'static str),
    /// A field has a value that no such cabinet has.
    #[error("not a sound cabinet: {0}")]
    Malformed(&'static str),
    /// It is one of several parts.
    #[error("the cabinet is one of several parts, which is not supported")]
    Spanned,
    /// It is packed in a way that is not supported.
    #[error("the cabinet is packed with method {0}, which is not supported")]
    Compression(u16),
    /// It has more members than [`Limits::members`].
    #[error("the cabinet has {0} members, more than any package")]
    TooManyMembers(usize),
    /// A member is larger than [`Limits::member`].
    #[error("the member {0:?} is larger than any in a package")]
    MemberTooLarge(String),
    /// Unpacked it is larger than [`Limits::total`], or grew more than [`Limits::ratio`] times.
    #[error("the cabinet would unpack to {0} bytes, more than any package")]
    TooLarge(u64),
    /// A member's name would leave the folder it is unpacked into, or is no name at all.
    #[error("the member name {0:?} is not a path within the package")]
    Name(String),
    /// Two members have the same name, so it is not clear which one counts.
    #[error("two members have the name {0:?}")]
    Twice(String),
    /// The packed data is damaged.
    #[error("the cabinet's data is damaged: {0}")]
    Data(String),
}

/// One member, unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The path within the package, with `\` between its parts.
    pub name: String,
    /// The content.
    pub content: Vec<u8>,
}

impl Member {
    /// The last part of the name.
    pub fn file_name(&self) -> &str {
        self.name.rsplit('\\').next().unwrap_or(&self.name)
    }
}

/// The fixed part of CFHEADER (MS-CAB §2.1) and what is derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The cabinet's own size: cbCabinet.
    pub size: u32,
    /// Where the file table starts: coffFiles.
    pub files_at: u32,
    /// How many folders: cFolders.
    pub folders: u16,
    /// How many members: cFiles.
    pub files: u16,
    /// The flags.
    pub flags: u16,
    /// The cabinet's number within its set: iCabinet.
    pub number: u16,
    /// The size of the reserve of the header, of each folder and of each block.
    pub reserve: (u16, u8, u8),
    /// Where the folder table starts.
    pub folders_at: usize,
}

const SIGNATURE: &[u8] = b"MSCF";
/// cfhdrPREV_CABINET and cfhdrNEXT_CABINET.
const SPANNED: u16 = 0x0003;
/// cfhdrRESERVE_PRESENT.
pub(super) const RESERVE_PRESENT: u16 = 0x0004;
/// The fixed part of the header, of a folder, of a file, of a block.
const HEADER: usize = 36;
const FOLDER: usize = 8;
const FILE: usize = 16;
const BLOCK: usize = 8;
/// _A_NAME_IS_UTF.
const NAME_IS_UTF8: u16 = 0x0080;

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?).map(|two| u16::from_le_bytes([two[0], two[1]]))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

/// Whether `bytes` begin as a cabinet does.
pub fn looks_like(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNATURE)
}

/// Reads the header.
///
/// # Errors
///
/// [`CabinetError`] if it is not one, or of a cabinet in several parts.
pub fn header(bytes: &[u8]) -> Result<Header, CabinetError> {
    if !looks_like(bytes) {
        return Err(CabinetError::NotACabinet);
    }
    let cut = || CabinetError::Outside("its header");
    let short = |at| u16_at(bytes, at).ok_or_else(cut);
    let flags = short(30)?;
    if flags & SPANNED != 0 {
        return Err(CabinetError::Spanned);
    }
    if short(24)? != 0x0103 {
        return Err(CabinetError::Malformed("its version is not 1.3"));
    }
    let (reserve, folders_at) = if flags & RESERVE_PRESENT == 0 {
        ((0, 0, 0), HEADER)
    } else {
        let [folder, block] = short(38)?.to_le_bytes();
        let header = short(36)?;
        ((header, folder, block), HEADER + 4 + usize::from(header))
    };
    let size = u32_at(bytes, 8).ok_or_else(cut)?;
    if size as usize > bytes.len() {
        return Err(CabinetError::Outside("its end"));
    }
    Ok(Header {
        size,
        files_at: u32_at(bytes, 16).ok_or_else(cut)?,
        folders: short(26)?,
        files: short(28)?,
        flags,
        number: short(34)?,
        reserve,
        folders_at,
    })
}

/// One folder: how it is packed, and its blocks.
struct Folder {
    compression: u16,
    blocks: Range<usize>,
    block_count: u16,
    unpacked: u64,
}

/// One row of the file table.
struct Entry {
    name: String,
    folder: usize,
    start: u64,
    size: u64,
}

/// Unpacks a cabinet.
///
/// # Errors
///
/// [`CabinetError`] if a table, a block or a name is not sound, or a limit is passed. Nothing is unpacked before all
/// tables were checked.
pub fn unpack(bytes: &[u8], limits: &Limits) -> Result<Vec<Member>, CabinetError> {
    let header = header(bytes)?;
    let cabinet = &bytes[..header.size as usize];
    let count = usize::from(header.files);
    if count > limits.members {
        return Err(CabinetError::TooManyMembers(count));
    }
    let folders = folders(cabinet, &header)?;
    let total: u64 = folders.iter().map(|folder| folder.unpacked).sum();
    if total > limits.total || total > limits.ratio.saturating_mul(u64::from(header.size)) {
        return Err(CabinetError::TooLarge(total));
    }
    let entries = entries(cabinet, &header, &folders, limits)?;
    let mut members: Vec<Option<Member>> = entries.iter().map(|_| None).collect();
    for (number, folder) in folders.iter().enumerate() {
        let content = unpack_folder(cabinet, folder)?;
        for (entry, member) in entries.iter().zip(&mut members).filter(|(entry, _)| entry.folder == number) {
            let part = usize::try_from(entry.start).ok().zip(usize::try_from(entry.start + entry.size).ok());
            let part = part.and_then(|(start, end)| content.get(start..end));
            let content = part.ok_or(CabinetError::Outside("a member"))?.to_vec();
            *member = Some(Member { name: entry.name.clone(), content });
        }
    }
    Ok(members.into_iter().flatten().collect())
}

fn folders(cabinet: &[u8], header: &Header) -> Result<Vec<Folder>, CabinetError> {
    let (_, folder_reserve, block_reserve) = header.reserve;
    // The checksum of a block covers its reserve; no package has one, and it is one thing less to carry along.
    if block_reserve != 0 {
        return Err(CabinetError::Malformed("its blocks have a reserve"));
    }
    let mut folders: Vec<Folder> = Vec::new();
    let mut at = header.folders_at;
    for _ in 0..header.folders {
        let outside = || CabinetError::Outside("its table of folders");
        let start = u32_at(cabinet, at).ok_or_else(outside)? as usize;
        let block_count = u16_at(cabinet, at + 4).ok_or_else(outside)?;
        let compression = u16_at(cabinet, at + 6).ok_or_else(outside)?;
        // typeCompress: 0 none, 1 MSZIP, 2 Quantum, 3 LZX.
        if !matches!(compression & 0x000f, 0 | 1 | 3) {
            return Err(CabinetError::Compression(compression & 0x000f));
        }
        let mut end = start;
        let mut unpacked = 0;
        for _ in 0..block_count {
            let packed = u16_at(cabinet, end + 4).ok_or(CabinetError::Outside("a block"))?;
            unpacked += u64::from(u16_at(cabinet, end + 6).ok_or(CabinetError::Outside("a block"))?);
            end += BLOCK + usize::from(packed);
            if end > cabinet.len() {
                return Err(CabinetError::Outside("a block"));
            }
        }
        if folders.iter().any(|other| start < other.blocks.end && other.blocks.start < end) {
            return Err(CabinetError::Malformed("two folders share their blocks"));
        }
        folders.push(Folder { compression, blocks: start..end, block_count, unpacked });
        at += FOLDER + usize::from(folder_reserve);
    }
    Ok(folders)
}

fn entries(
    cabinet: &[u8],
    header: &Header,
    folders: &[Folder],
    limits: &Limits,
) -> Result<Vec<Entry>, CabinetError> {
    let mut entries = Vec::new();
    let mut names = HashSet::new();
    let mut at = header.files_at as usize;
    for _ in 0..header.files {
        let outside = || CabinetError::Outside("its table of members");
        let size = u64::from(u32_at(cabinet, at).ok_or_else(outside)?);
        let start = u64::from(u32_at(cabinet, at + 4).ok_or_else(outside)?);
        let folder = u16_at(cabinet, at + 8).ok_or_else(outside)?;
        let attributes = u16_at(cabinet, at + 14).ok_or_else(outside)?;
        let rest = cabinet.get(at + FILE..).ok_or_else(outside)?;
        // szName: at most 256 octets with its end.
        let length = rest.iter().take(256).position(|octet| *octet == 0);
        let octets = &rest[..length.ok_or(CabinetError::Malformed("a member's name has no end"))?];
        let name = name(octets, attributes & NAME_IS_UTF8 != 0)?;
        if !names.insert(name.to_lowercase()) {
            return Err(CabinetError::Twice(name));
        }
        if size > limits.member {
            return Err(CabinetError::MemberTooLarge(name));
        }
        // 0xFFFD and above: the member goes on in another part.
        let folder = usize::from(folder);
        let unpacked = folders.get(folder).ok_or(CabinetError::Outside("a member's folder"))?.unpacked;
        if start + size > unpacked {
            return Err(CabinetError::Outside("a member"));
        }
        entries.push(Entry { name, folder, start, size });
        at += FILE + octets.len() + 1;
    }
    Ok(entries)
}

/// A member's name as a path within the package.
fn name(octets: &[u8], is_utf8: bool) -> Result<String, CabinetError> {
    let text = if is_utf8 {
        String::from_utf8(octets.to_vec()).ok()
    } else {
        // The code page is not stated; outside ASCII the octets are shown one by one, never guessed at.
        Some(octets.iter().map(|octet| char::from(*octet)).collect())
    };
    let refused = || CabinetError::Name(String::from_utf8_lossy(octets).chars().take(80).collect());
    let text = text.ok_or_else(refused)?.replace('/', "\\");
    let is_plain = |part: &str| {
        !part.is_empty()
            && part.trim_end_matches(['.', ' ']) == part
            && !part.contains(|c: char| ":*?\"<>|".contains(c) || crate::cert::name::is_deceptive(c))
    };
    if text.split('\\').all(is_plain) { Ok(text) } else { Err(refused()) }
}

/// Unpacks one folder as the only member of a cabinet with the same blocks.
fn unpack_folder(cabinet: &[u8], folder: &Folder) -> Result<Vec<u8>, CabinetError> {
    if folder.block_count == 0 {
        return Ok(Vec::new());
    }
    let small = |number: usize| u32::try_from(number).map_err(|_| CabinetError::TooLarge(number as u64));
    let member = b"folder\0";
    let files_at = HEADER + FOLDER;
    let data_at = files_at + FILE + member.len();
    let blocks = &cabinet[folder.blocks.clone()];
    let unpacked = u32::try_from(folder.unpacked).map_err(|_| CabinetError::TooLarge(folder.unpacked))?;
    let mut one = Vec::with_capacity(data_at + blocks.len());
    one.extend_from_slice(SIGNATURE);
    for word in [0, small(data_at + blocks.len())?, 0, small(files_at)?, 0] {
        one.extend_from_slice(&word.to_le_bytes());
    }
    // Version 1.3; one folder, one file, no flags, set 0, cabinet 0.
    for half in [0x0103_u16, 1, 1, 0, 0, 0] {
        one.extend_from_slice(&half.to_le_bytes());
    }
    one.extend_from_slice(&small(data_at)?.to_le_bytes());
    one.extend_from_slice(&folder.block_count.to_le_bytes());
    one.extend_from_slice(&folder.compression.to_le_bytes());
    one.extend_from_slice(&unpacked.to_le_bytes());
    // From offset 0 of folder 0; 1 January 1980; no attributes.
    for half in [0_u16, 0, 0, 0x0021, 0, 0] {
        one.extend_from_slice(&half.to_le_bytes());
    }
    one.extend_from_slice(member);
    one.extend_from_slice(blocks);

    let damaged = |error: std::io::Error| CabinetError::Data(error.to_string());
    let mut reader = cab::Cabinet::new(Cursor::new(one)).map_err(damaged)?;
    let mut content = Vec::new();
    reader.read_file("folder").map_err(damaged)?.read_to_end(&mut content).map_err(damaged)?;
    if content.len() as u64 == folder.unpacked {
        Ok(content)
    } else {
        Err(CabinetError::Data(format!("{} bytes where {} are stated", content.len(), folder.unpacked)))
    }
}

/// Packs members into a cabinet of one folder, with MSZIP. The same members give the same bytes.
///
/// # Errors
///
/// [`CabinetError::TooManyMembers`], or [`CabinetError::Data`] if it would be larger than the form allows.
pub fn pack(members: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, CabinetError> {
    let damaged = |error: std::io::Error| CabinetError::Data(error.to_string());
    if members.len() > usize::from(u16::MAX) {
        return Err(CabinetError::TooManyMembers(members.len()));
    }
    // The first day that the form knows: no clock has a say.
    let date = time::Date::from_calendar_date(1980, time::Month::January, 1).expect("a date");
    let date = time::PrimitiveDateTime::new(date, time::Time::MIDNIGHT);
    let mut builder = cab::CabinetBuilder::new();
    let folder = builder.add_folder(cab::CompressionType::MsZip);
    for name in members.keys() {
        folder.add_file(name.as_str()).set_datetime(date);
    }
    let mut writer = builder.build(Cursor::new(Vec::new())).map_err(damaged)?;
    let mut contents = members.values();
    while let Some(mut file) = writer.next_file().map_err(damaged)? {
        let content = contents.next().expect("there are as many contents as names");
        file.write_all(content).map_err(damaged)?;
    }
    Ok(writer.finish().map_err(damaged)?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cabinet of two small members, made by the `cab` crate.
    fn made(names: &[&str]) -> Vec<u8> {
        let mut builder = cab::CabinetBuilder::new();
        let folder = builder.add_folder(cab::CompressionType::MsZip);
        for name in names {
            folder.add_file(*name);
        }
        let mut writer = builder.build(Cursor::new(Vec::new())).expect("a cabinet");
        let mut number = 0_u8;
        while let Some(mut file) = writer.next_file().expect("a member") {
            number += 1;
            file.write_all(&vec![number; 1000 * usize::from(number)]).expect("written");
        }
        writer.finish().expect("finished").into_inner()
    }

    #[test]
    fn members_come_out_as_they_went_in() {
        let members = unpack(&made(&["A\\x.cer", "version.txt"]), &Limits::default()).expect("sound");
        assert_eq!(members.len(), 2);
        assert_eq!((members[0].name.as_str(), members[0].file_name()), ("A\\x.cer", "x.cer"));
        assert_eq!(members[1].content, vec![2; 2000]);
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for hostile in ["..\\x", "\\x", "a\\..\\..\\x", "C:\\x", "a\\\\x", "a/../x", "con ", "a\\.", "x\u{7}"]
        {
            let error = unpack(&made(&[hostile]), &Limits::default()).expect_err(hostile);
            assert!(matches!(error, CabinetError::Name(_)), "{hostile}: {error}");
        }
        let twice = unpack(&made(&["a.cer", "A.CER"]), &Limits::default());
        assert_eq!(twice, Err(CabinetError::Twice("A.CER".to_owned())));
    }

    #[test]
    fn limits_hold_before_anything_is_unpacked() {
        let cabinet = made(&["a", "b"]);
        let with = |limits| unpack(&cabinet, &limits);
        let limits = Limits::default();
        assert_eq!(with(Limits { members: 1, ..limits }), Err(CabinetError::TooManyMembers(2)));
        let large = with(Limits { member: 1999, ..limits });
        assert_eq!(large, Err(CabinetError::MemberTooLarge("b".to_owned())));
        assert_eq!(with(Limits { total: 2999, ..limits }), Err(CabinetError::TooLarge(3000)));
        assert_eq!(with(Limits { ratio: 1, ..limits }), Err(CabinetError::TooLarge(3000)));
    }

    #[test]
    fn no_changed_or_cut_byte_makes_it_panic() {
        let cabinet = made(&["A\\x.cer", "version.txt"]);
        for at in 0..cabinet.len() {
            for value in [0, 1, 0x7f, 0xff, cabinet[at] ^ 0x10] {
                let mut changed = cabinet.clone();
                changed[at] = value;
                let _ = unpack(&changed, &Limits::default());
            }
            assert!(unpack(&cabinet[..at], &Limits::default()).is_err(), "cut at {at}");
        }
    }
}
