//! One file from the hub to the cache: as many connections as it takes, each resuming where the last one ended.

use super::HubError;
use super::cache::make_parent;
use super::client::Client;
use super::failure::{Failure, Subject};
use super::object::Object;
use super::worker::Reporter;
use futures::StreamExt;
use hf_hub::repository::download::HFByteStream;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// A file on its way.
pub(super) struct Transfer<'a> {
    pub client: &'a Client<'a>,
    pub reporter: &'a Reporter,
    pub commit: &'a str,
    pub name: &'a str,
    pub object: &'a Object,
    /// What has arrived; its beginning may be from an earlier process.
    pub part: &'a Path,
}

impl Transfer<'_> {
    /// Fetches what the part lacks, verifies the whole and returns its etag. After `attempts` connections in a row that
    /// brought nothing, the part stays as it is.
    pub(super) async fn run(&self, attempts: u32) -> Result<String, HubError> {
        make_parent(self.part)?;
        let mut broken = false;
        self.client.retry(attempts, async |failed: &mut u32| self.attempt(failed, &mut broken).await).await
    }

    /// Fetches what the part lacks and verifies the whole. What is broken is thrown away; that it was is noted.
    async fn attempt(&self, failed: &mut u32, broken: &mut bool) -> Result<String, Failure> {
        self.receive(failed).await?;
        if let Some(etag) = self.object.verify(self.part).await.map_err(HubError::io(self.part))? {
            return Ok(etag);
        }
        fs::remove_file(self.part).map_err(HubError::io(self.part))?;
        let Object { oid, size, .. } = self.object;
        let error = HubError::Corrupt { file: self.name.to_owned(), size: *size, oid: oid.clone() };
        // The beginning may have been somebody else's, so a whole new one is worth a try.
        Err(if std::mem::replace(broken, true) { Failure::Final(error) } else { Failure::Transient(error) })
    }

    /// One connection, for what the part lacks.
    async fn receive(&self, failed: &mut u32) -> Result<(), Failure> {
        let total = self.object.size;
        let mut file = OpenOptions::new().create(true).append(true).open(self.part).map_err(HubError::io(self.part))?;
        let before = file.metadata().map_err(HubError::io(self.part))?.len();
        let mut done = before;
        if done > total {
            done = self.restart(&file)?;
        }
        self.report(done);
        if done == total {
            return Ok(());
        }
        let (announced, contents) = self.client.contents(self.commit, self.name, done, total).await?;
        // What is not as long as the file, or the rest of it, is something else: it never reaches the part.
        let resumed = match announced {
            Some(bytes) if bytes == total - done => true,
            Some(bytes) if bytes == total => false,
            None if done == 0 => true,
            _ => {
                self.restart(&file)?;
                let bytes = announced.map_or("an unknown number of".to_owned(), |bytes| bytes.to_string());
                let message = format_args!("the host sends {bytes} bytes where {} are missing", total - done);
                return Err(self.subject().transient(message));
            }
        };
        if !resumed {
            done = self.restart(&file)?;
            self.report(done);
        }
        let arrived = self.append(contents, &mut file, &mut done).await;
        // Bytes that were here before are no progress: a host that cannot resume must not be asked for ever.
        if done > before && (resumed || before == 0) {
            *failed = 0;
        }
        arrived?;
        // A name in the cache must not outlive a crash that its contents do not.
        Ok(file.sync_all().map_err(HubError::io(self.part))?)
    }

    /// Appends what comes to the file.
    async fn append(&self, mut contents: HFByteStream, file: &mut File, done: &mut u64) -> Result<(), Failure> {
        let total = self.object.size;
        while *done < total {
            let broken = |reason: &str| {
                let message = format!("the connection broke after {done} of {total} bytes: {reason}");
                self.subject().transient(message)
            };
            let piece = match self.client.in_time(contents.next()).await? {
                None => return Err(broken("it ended early")),
                Some(Err(error)) => match self.subject().failure(error) {
                    Failure::Transient(HubError::Network { message, .. }) => return Err(broken(&message)),
                    failure => return Err(failure),
                },
                Some(Ok(piece)) => piece,
            };
            let room = usize::try_from(total - *done).unwrap_or(usize::MAX).min(piece.len());
            file.write_all(&piece[..room]).map_err(HubError::io(self.part))?;
            *done += room as u64;
            self.report(*done);
        }
        Ok(())
    }

    fn report(&self, done: u64) {
        self.reporter.progress(self.name, done, self.object.size);
    }

    fn subject(&self) -> Subject<'_> {
        self.client.subject(Some(self.name))
    }

    /// Throws away what has arrived.
    fn restart(&self, file: &File) -> Result<u64, HubError> {
        file.set_len(0).map_err(HubError::io(self.part))?;
        Ok(0)
    }
}
