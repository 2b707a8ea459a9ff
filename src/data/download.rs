//! Fetching the official files: mirrors in turn, resumed where a transfer broke, and nothing kept whose checksum is wrong.
//!
//! A file grows as `NAME.part` beside its place and is renamed when its MD5 (the only checksum the sets' authors publish) is
//! right; so what stands under its own name is always whole. The tool opens connections here and nowhere else, and only when
//! the user asks for `unlearn data fetch`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};

use super::DatasetEntry;
use crate::error::{Error, Result};

/// Requests to one mirror before the next is tried: a broken transfer goes on where it stopped.
const ATTEMPTS: u32 = 5;
/// Before the second request; each further one waits this much longer.
const PAUSE: Duration = Duration::from_millis(250);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Silence after which a transfer counts as broken. The whole may take as long as it needs.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// How a file came to its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// It was there with the right checksum, and was left alone.
    AlreadyThere,
    /// It was downloaded.
    Downloaded {
        /// The mirror that gave the last byte.
        url: String,
        /// Bytes that an earlier, broken transfer had left and that were not sent again.
        resumed_from: u64,
    },
}

/// What [`fetch`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchReport {
    /// The set's folder, `DATA_DIR/NAME`.
    pub folder: PathBuf,
    /// Name and fate of each file; empty for a set that needs none.
    pub files: Vec<(String, Fetched)>,
    /// Was an archive unpacked?
    pub unpacked: bool,
}

/// Told bytes done, bytes in all where known, and the file's name, as a download goes on; an error from it ends the download
/// ([`Error::Interrupted`] on Ctrl-C) and keeps what has come.
pub type Progress<'a> = dyn FnMut(u64, Option<u64>, &str) -> Result<()> + 'a;

/// Brings every file of `entry` to `data_dir/NAME/` and unpacks it there.
///
/// # Errors
/// No mirror gave a file with the published checksum; the folder can't be written; a damaged archive.
pub fn fetch(entry: &DatasetEntry, data_dir: &Path, progress: &mut Progress<'_>) -> Result<FetchReport> {
    let folder = data_dir.join(entry.name);
    let mut report = FetchReport { folder: folder.clone(), files: Vec::new(), unpacked: false };
    for file in entry.files {
        let fetched = fetch_file(file.urls, file.md5, file.bytes, &folder.join(file.name), progress)?;
        report.files.push((file.name.to_string(), fetched));
    }
    if let Some(unpack) = entry.unpack {
        unpack(&folder)?;
        report.unpacked = true;
    }
    Ok(report)
}

/// Brings one file to `dest`, whose folder is made where it is missing: `md5` in hex, `bytes` its length where known.
///
/// # Errors
/// No URL gave the file (the message says what each one gave); another process is fetching it; `dest` can't be written; what
/// `progress` returned.
pub fn fetch_file(urls: &[impl AsRef<str>], md5: &str, bytes: Option<u64>, dest: &Path, progress: &mut Progress<'_>) -> Result<Fetched> {
    if dest.is_file() && File::open(dest).and_then(md5_of).map_err(Error::io(dest))? == md5 {
        return Ok(Fetched::AlreadyThere);
    }
    if let Some(folder) = dest.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let mut transfer = Transfer::open(dest, md5, bytes)?;
    let mut problems = Vec::new();
    for url in urls.iter().map(AsRef::as_ref) {
        match transfer.try_mirror(url, progress)? {
            Ok(resumed_from) => {
                std::fs::rename(&transfer.part, dest).map_err(Error::io(dest))?;
                return Ok(Fetched::Downloaded { url: url.to_string(), resumed_from });
            }
            Err(problem) => problems.push(format!("\n    {url}: {problem}")),
        }
    }
    transfer.tidy()?;
    let remedy = format!("check the connection and run the command again (it goes on where it stopped), or put the file there yourself; MD5 {md5}");
    Err(Error::failed(dest.display().to_string(), format!("no address gave this file{}", problems.concat()), remedy))
}

/// What a mirror could not do; the next one may.
type Problem = String;

/// One request's end.
enum Outcome {
    /// The body ended; the file is as long as it should be, as far as anybody said.
    Ended,
    /// Another request to the same mirror may help.
    Broken(Problem),
    /// It won't.
    Refused(Problem),
}

struct Transfer<'a> {
    name: String,
    part: PathBuf,
    file: File,
    md5: &'a str,
    bytes: Option<u64>,
    agent: ureq::Agent,
}

impl<'a> Transfer<'a> {
    fn open(dest: &Path, md5: &'a str, bytes: Option<u64>) -> Result<Self> {
        let name = dest.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let part = dest.with_file_name(format!("{name}.part"));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&part).map_err(Error::io(&part))?;
        // Two processes writing one file would spoil both; a file system without locks is no reason to refuse.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::failed(part.display().to_string(), "another process is fetching this file", "wait for it to end"));
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // The files are themselves compressed: a server's own compression would only hide their length.
            .accept_encoding("identity")
            .user_agent(concat!("unlearn/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(SILENCE_TIMEOUT))
            .timeout_per_read(Some(SILENCE_TIMEOUT))
            .build()
            .into();
        Ok(Self { name, part, file, md5, bytes, agent })
    }

    /// Bytes that need not be sent again, or why this mirror did not give the file. The outer error is our own disk's.
    fn try_mirror(&mut self, url: &str, progress: &mut Progress<'_>) -> Result<Result<u64, Problem>> {
        let mut problem = Problem::new();
        for attempt in 0..ATTEMPTS {
            let have = self.length()?;
            if have > 0 && self.is_right()? {
                return Ok(Ok(have));
            }
            // As long as the whole, but not the whole: no server can add what it lacks.
            let have = if self.bytes.is_some_and(|b| have >= b) { self.restart()? } else { have };
            if attempt > 0 {
                std::thread::sleep(PAUSE * attempt);
            }
            match self.request(url, have, progress)? {
                Outcome::Refused(why) => return Ok(Err(why)),
                Outcome::Broken(why) => problem = why,
                Outcome::Ended => {
                    if self.is_right()? {
                        return Ok(Ok(have));
                    }
                    problem = format!("MD5 {} of {} bytes, expected {}", self.part_md5()?, self.length()?, self.md5);
                    self.restart()?;
                    // What was left of an earlier transfer may be at fault; what this mirror sent alone is its own.
                    if have == 0 {
                        return Ok(Err(problem));
                    }
                }
            }
        }
        Ok(Err(problem))
    }

    /// Asks for the bytes from `have` on and appends them.
    fn request(&mut self, url: &str, have: u64, progress: &mut Progress<'_>) -> Result<Outcome> {
        let mut request = self.agent.get(url);
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let response = match request.call() {
            Ok(response) => response,
            Err(e @ (ureq::Error::HostNotFound | ureq::Error::BadUri(_) | ureq::Error::Tls(_))) => return Ok(Outcome::Refused(e.to_string())),
            Err(e) => return Ok(Outcome::Broken(e.to_string())),
        };
        let from = match response.status().as_u16() {
            206 if range_start(&response) == Some(have) => have,
            200 => self.restart()?,
            206 | 416 => {
                self.restart()?;
                return Ok(Outcome::Broken(format!("HTTP {}: the server can't go on from byte {have}", response.status())));
            }
            429 | 500..=599 => return Ok(Outcome::Broken(format!("HTTP {}", response.status()))),
            _ => return Ok(Outcome::Refused(format!("HTTP {}", response.status()))),
        };
        let total = self.bytes.or_else(|| response.body().content_length().map(|l| from + l));
        self.receive(response.into_body().into_reader(), from, total, progress)
    }

    fn receive(&mut self, mut body: impl Read, from: u64, total: Option<u64>, progress: &mut Progress<'_>) -> Result<Outcome> {
        self.file.seek(SeekFrom::Start(from)).map_err(Error::io(&self.part))?;
        let mut done = from;
        let mut buffer = vec![0; 1 << 16];
        progress(done, total, &self.name)?;
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Ok(Outcome::Broken(format!("broke off after {done} bytes: {e}"))),
            };
            done += read as u64;
            if let Some(total) = total.filter(|t| done > *t) {
                self.restart()?;
                return Ok(Outcome::Refused(format!("sent more than the {total} bytes of this file")));
            }
            self.file.write_all(&buffer[..read]).map_err(Error::io(&self.part))?;
            progress(done, total, &self.name)?;
        }
        Ok(match total {
            Some(total) if done < total => Outcome::Broken(format!("broke off after {done} of {total} bytes")),
            _ => Outcome::Ended,
        })
    }

    fn length(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(Error::io(&self.part))?.len())
    }

    fn is_right(&self) -> Result<bool> {
        if self.bytes.is_some_and(|b| self.length().is_ok_and(|l| l != b)) {
            return Ok(false);
        }
        Ok(self.part_md5()? == self.md5)
    }

    /// Through our own handle: where locks are mandatory, no other may read the part.
    fn part_md5(&self) -> Result<String> {
        (&self.file).seek(SeekFrom::Start(0)).and_then(|_| md5_of(&self.file)).map_err(Error::io(&self.part))
    }

    /// Empties the part; 0, the byte to go on from.
    fn restart(&mut self) -> Result<u64> {
        self.file.set_len(0).map_err(Error::io(&self.part))?;
        Ok(0)
    }

    /// Leaves no empty part behind; a part with content is kept for the next try.
    fn tidy(&self) -> Result<()> {
        if self.length()? == 0 {
            std::fs::remove_file(&self.part).map_err(Error::io(&self.part))?;
        }
        Ok(())
    }
}

/// First byte of `Content-Range: bytes FIRST-LAST/TOTAL`.
fn range_start(response: &ureq::http::Response<ureq::Body>) -> Option<u64> {
    response.headers().get("content-range")?.to_str().ok()?.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

fn md5_of(mut file: impl Read) -> std::io::Result<String> {
    let mut hash = Md5::new();
    std::io::copy(&mut file, &mut hash)?;
    Ok(crate::hex(&hash.finalize()))
}
