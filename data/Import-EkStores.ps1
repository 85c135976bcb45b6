#requires -Version 5.1
<#
.SYNOPSIS
Brings EKROOT and EKCA of this CA to what the manifest beside this script says.

.DESCRIPTION
Reads manifest.json, refuses it unless its SHA-256 is the one given, and imports every certificate it lists whose
file has the listed SHA-256. Each file is read once; the bytes that were hashed are the bytes that are imported.
Certificates that are listed as distrusted are removed; with -Prune also those that are no longer trusted.
Other certificates in the two stores are left alone and reported. It can be run again: what is there already stays.
Exit code 0: the stores hold what the manifest lists, and nothing that it removes. 1: they do not. 3: refused.

.PARAMETER ManifestSha256
The SHA-256 of manifest.json, as `ekstore export adcs` printed it. Take it from there, not from this folder.

.PARAMETER Prune
Also removes what is no longer trusted without being distrusted.

.EXAMPLE
.\Import-EkStores.ps1 -ManifestSha256 <64 hexadecimal digits> -WhatIf
#>
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)]
    [ValidatePattern('^[0-9A-Fa-f]{64}$')]
    [string] $ManifestSha256,

    [switch] $Prune
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

function Get-Sha256([byte[]] $Bytes) {
    $algorithm = [System.Security.Cryptography.SHA256]::Create()
    try {
        return ([System.BitConverter]::ToString($algorithm.ComputeHash($Bytes)) -replace '-', '').ToLowerInvariant()
    } finally {
        $algorithm.Dispose()
    }
}

function Stop-Refused([string] $Message) {
    [Console]::Error.WriteLine("refused: $Message")
    exit 3
}

$logPath = Join-Path $PSScriptRoot ('Import-EkStores-{0:yyyyMMdd-HHmmss}.log' -f (Get-Date))
function Write-Step([string] $Message) {
    Write-Verbose $Message
    if (-not $WhatIfPreference) {
        Add-Content -LiteralPath $logPath -Value ('{0:o} {1}' -f (Get-Date), $Message) -Encoding UTF8
    }
}

$manifestBytes = [System.IO.File]::ReadAllBytes((Join-Path $PSScriptRoot 'manifest.json'))
if ((Get-Sha256 $manifestBytes) -ne $ManifestSha256.ToLowerInvariant()) {
    Stop-Refused 'manifest.json does not have the SHA-256 that was given'
}
$manifest = [System.Text.Encoding]::UTF8.GetString($manifestBytes) | ConvertFrom-Json
if ($manifest.form -ne 1) {
    Stop-Refused "manifest.json has form $($manifest.form), this script knows form 1"
}

# Everything is read and checked before anything is changed.
$wanted = @{}
foreach ($entry in $manifest.certificates) {
    if (@('EKROOT', 'EKCA') -notcontains $entry.store) {
        Stop-Refused "unknown store in the manifest"
    }
    if ($entry.file -notmatch '^(EKROOT|EKCA)/[0-9A-F]{40}\.cer$') {
        Stop-Refused "unexpected file name in the manifest"
    }
    $bytes = [System.IO.File]::ReadAllBytes((Join-Path $PSScriptRoot ($entry.file -replace '/', '\')))
    if ((Get-Sha256 $bytes) -ne $entry.fingerprint) {
        Stop-Refused "$($entry.file) is not the certificate that the manifest lists"
    }
    $certificate = New-Object System.Security.Cryptography.X509Certificates.X509Certificate2(, $bytes)
    $wanted[$entry.fingerprint] = @{ Store = $entry.store; Certificate = $certificate }
}
$unwanted = @{}
foreach ($entry in $manifest.removed) {
    $unwanted[$entry.fingerprint] = $entry.why
}

$sound = $true
foreach ($name in @('EKROOT', 'EKCA')) {
    $container = "Cert:\LocalMachine\$name"
    if (-not (Test-Path -LiteralPath $container)) {
        if ($PSCmdlet.ShouldProcess($container, 'create the store')) {
            New-Item -Path 'Cert:\LocalMachine' -Name $name | Out-Null
            Write-Step "created $container"
        } else {
            continue
        }
    }
    $store = New-Object System.Security.Cryptography.X509Certificates.X509Store($name, 'LocalMachine')
    $store.Open('ReadWrite')
    try {
        $present = @{}
        foreach ($certificate in @($store.Certificates)) {
            $present[(Get-Sha256 $certificate.RawData)] = $certificate
        }
        foreach ($fingerprint in @($wanted.Keys | Sort-Object)) {
            $item = $wanted[$fingerprint]
            if ($item.Store -eq $name -and -not $present.ContainsKey($fingerprint)) {
                if ($PSCmdlet.ShouldProcess("$name $fingerprint", 'import')) {
                    $store.Add($item.Certificate)
                    Write-Step "imported into $name $fingerprint"
                }
            }
        }
        foreach ($fingerprint in @($present.Keys | Sort-Object)) {
            $misplaced = $wanted.ContainsKey($fingerprint) -and $wanted[$fingerprint].Store -ne $name
            $listed = $unwanted.ContainsKey($fingerprint)
            $remove = $misplaced -or ($listed -and ($Prune -or $unwanted[$fingerprint] -eq 'distrusted'))
            if ($remove) {
                if ($PSCmdlet.ShouldProcess("$name $fingerprint", 'remove')) {
                    $store.Remove($present[$fingerprint])
                    Write-Step "removed from $name $fingerprint"
                }
            } elseif (-not $listed -and -not $wanted.ContainsKey($fingerprint)) {
                Write-Warning "$name holds $fingerprint, which the manifest does not list"
            }
        }
    } finally {
        $store.Close()
    }
}

# What the stores hold now, read anew.
foreach ($name in @('EKROOT', 'EKCA')) {
    $held = @{}
    if (Test-Path -LiteralPath "Cert:\LocalMachine\$name") {
        $store = New-Object System.Security.Cryptography.X509Certificates.X509Store($name, 'LocalMachine')
        $store.Open('ReadOnly')
        try {
            foreach ($certificate in @($store.Certificates)) {
                $held[(Get-Sha256 $certificate.RawData)] = $true
            }
        } finally {
            $store.Close()
        }
    }
    foreach ($fingerprint in @($wanted.Keys | Sort-Object)) {
        $belongs = $wanted[$fingerprint].Store -eq $name
        if ($belongs -and -not $held.ContainsKey($fingerprint)) {
            Write-Warning "$name lacks $fingerprint"
            $sound = $false
        }
        if (-not $belongs -and $held.ContainsKey($fingerprint)) {
            Write-Warning "$name holds $fingerprint, which belongs in $($wanted[$fingerprint].Store)"
            $sound = $false
        }
    }
    foreach ($fingerprint in @($unwanted.Keys | Sort-Object)) {
        if ($held.ContainsKey($fingerprint)) {
            Write-Warning "$name still holds $fingerprint ($($unwanted[$fingerprint]))"
            $sound = $false
        }
    }
}

if ($sound) {
    Write-Step 'the stores hold what the manifest lists'
    Write-Output "EKROOT and EKCA hold generation $($manifest.generation)."
    exit 0
}
Write-Step 'the stores do not hold what the manifest lists'
exit 1
