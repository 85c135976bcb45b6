//! Work on a stream in parallel, in order, in constant memory.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, sync_channel};
use std::sync::{Arc, Mutex};

/// How many items go to a worker at a time: few enough to start printing soon, enough to make handing over cheap.
const CHUNK: usize = 32;

/// Applies `work` to every item on `workers` threads, and hands the results to `emit` in the order of the items.
///
/// At most eight chunks a worker are on their way, however long the stream is and however slow one item: memory does
/// not grow with the number of items. `emit` returns whether it wants more.
pub fn ordered<I, O>(
    items: impl Iterator<Item = I> + Send,
    workers: usize,
    work: impl Fn(I) -> O + Sync,
    mut emit: impl FnMut(O) -> bool,
) where
    I: Send,
    O: Send,
{
    let workers = workers.max(1);
    let (to_work, waiting) = sync_channel::<(u64, Vec<I>)>(workers);
    let (done, results) = mpsc::channel::<(u64, Vec<O>)>();
    let (give_back, tickets) = sync_channel::<()>(workers * 8);
    for _ in 0..workers * 8 {
        give_back.send(()).expect("the channel holds as many tickets");
    }
    // Owned by the workers alone: when the last of them stops, the reader's next send fails.
    let waiting = Arc::new(Mutex::new(waiting));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut items = items.peekable();
            let mut number = 0;
            // A ticket for each chunk; when nobody gives tickets back any more, nobody wants more.
            while items.peek().is_some() && tickets.recv().is_ok() {
                let chunk: Vec<I> = items.by_ref().take(CHUNK).collect();
                if to_work.send((number, chunk)).is_err() {
                    return;
                }
                number += 1;
            }
        });
        for _ in 0..workers {
            let (done, waiting, work) = (done.clone(), Arc::clone(&waiting), &work);
            scope.spawn(move || {
                loop {
                    let next = waiting
                        .lock()
                        .map_or_else(|poisoned| poisoned.into_inner().recv(), |lock| lock.recv());
                    let Ok((number, chunk)) = next else { return };
                    if done.send((number, chunk.into_iter().map(work).collect())).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        drop(waiting);
        let mut ahead: BTreeMap<u64, Vec<O>> = BTreeMap::new();
        let mut next = 0;
        'all: for (number, chunk) in results {
            ahead.insert(number, chunk);
            while let Some(chunk) = ahead.remove(&next) {
                next += 1;
                // The reader may be done already, with nobody left to take the ticket.
                let _ = give_back.try_send(());
                for result in chunk {
                    if !emit(result) {
                        break 'all;
                    }
                }
            }
        }
        drop(give_back);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_items_and_a_stop_is_a_stop() {
        let mut seen = Vec::new();
        let slow = |number: u64| {
            if number.is_multiple_of(97) {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            number * 2
        };
        ordered(0..5_000u64, 4, slow, |result| {
            seen.push(result);
            true
        });
        assert_eq!(seen, (0..5_000).map(|number| number * 2).collect::<Vec<u64>>());
        let mut count = 0;
        ordered(
            0..,
            2,
            |number: u64| number,
            |_| {
                count += 1;
                count < 1_000
            },
        );
        assert_eq!(count, 1_000);
    }
}
