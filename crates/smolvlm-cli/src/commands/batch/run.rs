//! The run: one thread reads rows, several answer them, and this one writes the answers.
//!
//! Parts are filled in order, and only a few are unfinished at a time, so that memory is bounded.

use super::input::Input;
use super::output::{Answer, Journal, Parts};
use super::permits::{Permit, Permits};
use super::progress::Progress;
use super::row::Row;
use crate::failure::Failure;
use crate::output::write_failure;
use smolvlm::Cancel;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// Interval of the progress display.
const TICK: Duration = Duration::from_millis(200);

/// What answers rows, on several threads.
pub trait Answerer: Sync {
    /// Answers a row.
    fn answer(&self, row: Row) -> Outcome;
}

/// What came of a row.
pub enum Outcome {
    /// An answer, or an error of this row, and the number of its images.
    Answered(Answer, u64),
    /// The run was cancelled.
    Cancelled,
    /// An error that ends the run.
    Failed(Failure),
}

/// A run.
pub struct Run<'a> {
    /// The data set.
    pub input: &'a Input,
    /// The columns to read.
    pub columns: &'a [String],
    /// The output.
    pub parts: &'a Parts,
    /// What answers rows.
    pub answerer: &'a dyn Answerer,
    /// Number of rows that are answered at the same time.
    pub in_flight: usize,
    /// Stops the run. Also cancelled when the run fails.
    pub stop: &'a Cancel,
}

/// Counts of a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Rows that were answered, including those that failed.
    pub rows: u64,
    /// Rows that failed.
    pub failed: u64,
    /// Rows that earlier runs answered, including those that failed.
    pub earlier_rows: u64,
    /// Rows that failed in earlier runs.
    pub earlier_failed: u64,
}

/// A row to answer.
struct Task {
    part: u64,
    row: Row,
}

/// A message to the thread that writes.
enum Event<'a> {
    /// A part that is already complete, with its rows and how many of them failed.
    Complete(u64, u64),
    /// The first row of a part is next.
    Begun(u64, OpenPart<'a>),
    /// All rows of a part were read: it has so many, which end before an index in the data set.
    Read { part: u64, rows: usize, end: u64 },
    /// A row was answered.
    Answered { part: u64, index: u64, answer: Answer, images: u64, position: f64 },
    /// The run fails.
    Failed(Failure),
}

/// A part that is not complete.
struct OpenPart<'a> {
    journal: Journal,
    answers: BTreeMap<u64, Answer>,
    /// Number of its rows, once it is known.
    rows: Option<usize>,
    _permit: Permit<'a>,
}

impl Run<'_> {
    /// Answers all rows that are not answered yet.
    ///
    /// # Errors
    ///
    /// An input that cannot be read any further, an output that cannot be written, errors of the device.
    pub fn run(&self, progress: &mut Progress) -> Result<Summary, Failure> {
        let open_parts = Permits::new(2 + self.in_flight / rows_of(self.parts).max(1));
        let (tasks, queue) = sync_channel(1);
        let queue = Mutex::new(queue);
        let (events, inbox) = channel();
        thread::scope(|scope| {
            let (queue, open_parts) = (&queue, &open_parts);
            for _ in 0..self.in_flight {
                let events = events.clone();
                scope.spawn(move || self.work(queue, &events));
            }
            scope.spawn(move || {
                if let Err(failure) = self.read(&tasks, &events, open_parts) {
                    self.send(&events, Event::Failed(failure));
                }
            });
            self.collect(&inbox, progress)
        })
    }

    /// Sends an event. The receiver is there until all threads have ended.
    fn send<'e>(&self, events: &Sender<Event<'e>>, event: Event<'e>) {
        drop(events.send(event));
    }

    fn write_failure(&self, error: io::Error) -> Failure {
        write_failure(&self.parts.folder, error)
    }

    /// Reads the rows of all parts that are not complete.
    fn read<'e>(
        &self,
        tasks: &SyncSender<Task>,
        events: &Sender<Event<'e>>,
        open_parts: &'e Permits,
    ) -> Result<(), Failure> {
        let (parts, shard) = (self.parts, self.parts.shard);
        let mut reader = self.input.reader(self.columns);
        for part in 0.. {
            let rows = part * parts.rows..(part + 1) * parts.rows;
            let Some(first) = shard.index(rows.start) else { break };
            if self.stop.is_cancelled() || !reader.skip_to(first)? {
                break;
            }
            if parts.is_complete(part).map_err(|error| self.write_failure(error))? {
                let (rows, failed) = parts.count(part).map_err(|error| self.write_failure(error))?;
                self.send(events, Event::Complete(rows, failed));
                continue;
            }
            let Some(_permit) = open_parts.acquire(self.stop) else { break };
            let is_expected = |index| index % shard.count == shard.number - 1 && rows.contains(&(index / shard.count));
            let (journal, answers) = parts.journal(part, is_expected).map_err(|error| self.write_failure(error))?;
            let known: BTreeSet<u64> = answers.keys().copied().collect();
            self.send(events, Event::Begun(part, OpenPart { journal, answers, rows: None, _permit }));
            let (mut count, mut end) = (0, first);
            for index in rows.map_while(|row| shard.index(row)) {
                if self.stop.is_cancelled() {
                    return Ok(());
                }
                let exists = reader.skip_to(index)?
                    && if known.contains(&index) {
                        reader.skip_to(index + 1)?
                    } else if let Some(row) = reader.next_row()? {
                        // The workers are there until all rows were sent.
                        drop(tasks.send(Task { part, row }));
                        true
                    } else {
                        false
                    };
                if !exists {
                    break;
                }
                (count, end) = (count + 1, index + 1);
            }
            self.send(events, Event::Read { part, rows: count, end });
            if count < rows_of(parts) {
                break;
            }
        }
        Ok(())
    }

    /// Answers rows until there are no more. After the run was stopped, rows are only taken out of the queue, so that
    /// the reader does not wait.
    fn work<'e>(&self, queue: &Mutex<Receiver<Task>>, events: &Sender<Event<'e>>) {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Task { part, row }) = next else { return };
            if self.stop.is_cancelled() {
                continue;
            }
            let (index, position) = (row.index, row.position);
            match self.answerer.answer(row) {
                Outcome::Answered(answer, images) => {
                    self.send(events, Event::Answered { part, index, answer, images, position });
                }
                Outcome::Cancelled => {}
                Outcome::Failed(failure) => {
                    self.stop.cancel();
                    self.send(events, Event::Failed(failure));
                }
            }
        }
    }

    /// Writes answers until all other threads have ended. If that fails, it only waits for them.
    fn collect(&self, inbox: &Receiver<Event<'_>>, progress: &mut Progress) -> Result<Summary, Failure> {
        let (mut open, mut summary) = (BTreeMap::new(), Summary::default());
        let (mut failure, mut can_write) = (None, true);
        loop {
            let event = match inbox.recv_timeout(TICK) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => {
                    progress.tick();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let collected = match event {
                Event::Failed(failure) => Err(failure),
                // What is not written now is answered again later.
                _ if !can_write => Ok(()),
                event => {
                    let collected = self.collect_event(event, &mut open, &mut summary, progress);
                    can_write = collected.is_ok();
                    collected
                }
            };
            if let Err(error) = collected {
                self.stop.cancel();
                failure.get_or_insert(error);
            }
            progress.tick();
        }
        progress.finish();
        failure.map_or(Ok(summary), Err)
    }

    fn collect_event<'e>(
        &self,
        event: Event<'e>,
        open: &mut BTreeMap<u64, OpenPart<'e>>,
        summary: &mut Summary,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let part = match event {
            Event::Failed(failure) => return Err(failure),
            Event::Complete(rows, failed) => {
                summary.earlier_rows += rows;
                summary.earlier_failed += failed;
                return Ok(());
            }
            Event::Begun(part, begun) => {
                summary.earlier_rows += begun.answers.len() as u64;
                summary.earlier_failed += begun.answers.values().filter(|answer| answer.error.is_some()).count() as u64;
                open.insert(part, begun);
                return Ok(());
            }
            Event::Read { part, rows, end } => {
                if let Some(open) = open.get_mut(&part) {
                    // A journal may name rows that the data set does not have.
                    open.answers.retain(|&index, _| index < end);
                    open.rows = Some(rows);
                }
                part
            }
            Event::Answered { part, index, answer, images, position } => {
                summary.rows += 1;
                summary.failed += u64::from(answer.error.is_some());
                progress.add(index, &answer, images, position);
                if let Some(open) = open.get_mut(&part) {
                    open.journal.append(index, &answer).map_err(|error| self.write_failure(error))?;
                    open.answers.insert(index, answer);
                }
                part
            }
        };
        if open.get(&part).is_some_and(|part| part.rows == Some(part.answers.len()))
            && let Some(OpenPart { journal, answers, .. }) = open.remove(&part)
        {
            let written =
                if answers.is_empty() { journal.delete() } else { self.parts.write(part, answers.values(), journal) };
            written.map_err(|error| self.write_failure(error))?;
        }
        Ok(())
    }
}

/// Rows per part, except for the last one.
fn rows_of(parts: &Parts) -> usize {
    usize::try_from(parts.rows).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
