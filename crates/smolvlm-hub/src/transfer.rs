//! Download of one file into the cache over as many connections as it takes, each resuming where the last one ended.

use super::HubError;
use super::cache::create_parent;
use super::client::Client;
use super::failure::{Failure, RequestContext};
use super::object::Object;
use super::worker::Reporter;
use futures::StreamExt;
use hf_hub::repository::download::HFByteStream;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// The download of one file.
pub(super) struct Transfer<'a> {
    pub client: &'a Client<'a>,
    pub reporter: &'a Reporter,
    pub commit: &'a str,
    pub name: &'a str,
    pub object: &'a Object,
    /// The incomplete download, maybe begun by an earlier process.
    pub part: &'a Path,
}

impl Transfer<'_> {
    /// Fetches the rest of the file, verifies it and returns its etag. After `attempts` consecutive connections without
    /// progress, returns an error and keeps the part.
    pub(super) async fn run(&self, attempts: u32) -> Result<String, HubError> {
        create_parent(self.part)?;
        let mut corrupt = false;
        self.client.retry(attempts, async |failed: &mut u32| self.attempt(failed, &mut corrupt).await).await
    }

    /// Fetches the rest of the file and verifies it. A corrupt file is deleted; `corrupt` records that there was one.
    async fn attempt(&self, failed: &mut u32, corrupt: &mut bool) -> Result<String, Failure> {
        self.receive(failed).await?;
        if let Some(etag) = self.object.verify(self.part).await.map_err(HubError::io(self.part))? {
            return Ok(etag);
        }
        fs::remove_file(self.part).map_err(HubError::io(self.part))?;
        let Object { oid, size, .. } = self.object;
        let error = HubError::Corrupt { file: self.name.to_owned(), size: *size, oid: oid.clone() };
        // An earlier process may have left a wrong beginning: download the whole file once more.
        Err(if std::mem::replace(corrupt, true) { Failure::Permanent(error) } else { Failure::Transient(error) })
    }

    /// Fetches the rest of the file over one connection.
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
        // A response that is as long as neither the file nor its rest is something else: it must not reach the part.
        let resumed = match announced {
            Some(bytes) if bytes == total - done => true,
            Some(bytes) if bytes == total => false,
            None if done == 0 => true,
            _ => {
                self.restart(&file)?;
                let bytes = announced.map_or("an unknown number of".to_owned(), |bytes| bytes.to_string());
                let message = format_args!("the host sends {bytes} bytes where {} are missing", total - done);
                return Err(self.context().transient(message));
            }
        };
        if !resumed {
            done = self.restart(&file)?;
            self.report(done);
        }
        let received = self.append(contents, &mut file, &mut done).await;
        // Refetching bytes that were here before is not progress: this limits the attempts at hosts that cannot resume.
        if done > before && (resumed || before == 0) {
            *failed = 0;
        }
        received?;
        // Contents must be on disk before their name in the cache, which may survive a crash without them.
        Ok(file.sync_all().map_err(HubError::io(self.part))?)
    }

    /// Appends the received bytes to the file.
    async fn append(&self, mut contents: HFByteStream, file: &mut File, done: &mut u64) -> Result<(), Failure> {
        let total = self.object.size;
        while *done < total {
            let interrupted = |reason: &str| {
                let message = format!("the connection was interrupted after {done} of {total} bytes: {reason}");
                self.context().transient(message)
            };
            let chunk = match self.client.with_timeout(contents.next()).await? {
                None => return Err(interrupted("it ended early")),
                Some(Err(error)) => match self.context().failure(error) {
                    Failure::Transient(HubError::Network { message, .. }) => return Err(interrupted(&message)),
                    failure => return Err(failure),
                },
                Some(Ok(chunk)) => chunk,
            };
            let length = usize::try_from(total - *done).unwrap_or(usize::MAX).min(chunk.len());
            file.write_all(&chunk[..length]).map_err(HubError::io(self.part))?;
            *done += length as u64;
            self.report(*done);
        }
        Ok(())
    }

    fn report(&self, done: u64) {
        self.reporter.progress(self.name, done, self.object.size);
    }

    fn context(&self) -> RequestContext<'_> {
        self.client.context(Some(self.name))
    }

    /// Discards the received bytes and returns the new length, 0.
    fn restart(&self, file: &File) -> Result<u64, HubError> {
        file.set_len(0).map_err(HubError::io(self.part))?;
        Ok(0)
    }
}
