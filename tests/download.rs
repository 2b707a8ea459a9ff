//! The downloader against a small server on this machine: resuming, mirrors, checksums.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use md5::{Digest, Md5};
use unlearn::data::download::{Fetched, fetch, fetch_file};
use unlearn::data::{DATASETS, Dataset, DatasetEntry, Normalisation, RemoteFile};
use unlearn::error::{Error, Result};

/// What the server does with a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    /// Whole files, or the asked-for range of them.
    Proper,
    /// Whole files whatever is asked for.
    IgnoresRange,
    /// Promises the whole, sends at most this many bytes of it, and hangs up.
    HangsUpAfter(usize),
    /// This status and nothing else.
    Says(u16),
}

/// A server of one content at every path; remembers the `Range` header of each request.
struct Server {
    url: String,
    ranges: Arc<Mutex<Vec<Option<String>>>>,
}

fn serve(content: &[u8], manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file.bin", listener.local_addr().unwrap());
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let (content, log) = (content.to_vec(), ranges.clone());
    // The thread ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let range = request_range(&stream);
            log.lock().unwrap().push(range.clone());
            let _ = answer(stream, &content, range, manner);
        }
    });
    Server { url, ranges }
}

fn request_range(stream: &TcpStream) -> Option<String> {
    let lines = BufReader::new(stream).lines().map_while(std::io::Result::ok).take_while(|l| !l.is_empty());
    lines.collect::<Vec<_>>().into_iter().find_map(|l| l.to_ascii_lowercase().strip_prefix("range: ").map(str::to_string))
}

fn answer(mut stream: TcpStream, content: &[u8], range: Option<String>, manner: Manner) -> std::io::Result<()> {
    let start = match range {
        Some(range) if manner != Manner::IgnoresRange => range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap(),
        _ => 0,
    };
    let all = content.len();
    let status = match manner {
        Manner::Says(status) => return write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        _ if start > 0 && start >= all => return write!(stream, "HTTP/1.1 416 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        _ if start > 0 => format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{all}", all - 1),
        _ => "200 OK".to_string(),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", all - start)?;
    let rest = &content[start..];
    let sent = if let Manner::HangsUpAfter(bytes) = manner { bytes.min(rest.len()) } else { rest.len() };
    stream.write_all(&rest[..sent])
}

fn content() -> Vec<u8> {
    (0..200_000u32).map(|i| (i * 31 % 251) as u8).collect()
}

fn md5(bytes: &[u8]) -> String {
    unlearn::hex(&Md5::digest(bytes))
}

fn get(servers: &[&Server], bytes: Option<u64>, dest: &Path) -> Result<Fetched> {
    let urls: Vec<&str> = servers.iter().map(|s| s.url.as_str()).collect();
    fetch_file(&urls, &md5(&content()), bytes, dest, &mut |_, _, _| Ok(()))
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_fetched_once() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("new/folder/file.bin");
    let server = serve(&content(), Manner::Proper);
    let mut told = Vec::new();
    let urls = [server.url.clone()];
    let mut progress = |done: u64, total: Option<u64>, name: &str| {
        told.push((done, total, name.to_string()));
        Ok(())
    };
    let fetched = fetch_file(&urls, &md5(&content()), None, &dest, &mut progress).unwrap();
    assert_eq!(fetched, Fetched::Downloaded { url: server.url.clone(), resumed_from: 0 });
    assert_eq!(std::fs::read(&dest).unwrap(), content());
    assert_eq!(names(dest.parent().unwrap()), ["file.bin"]);
    assert_eq!(told.first(), Some(&(0, Some(200_000), "file.bin".to_string())));
    assert_eq!(told.last(), Some(&(200_000, Some(200_000), "file.bin".to_string())));

    // Already there: no request, and the file is left alone.
    assert_eq!(get(&[&server], None, &dest).unwrap(), Fetched::AlreadyThere);
    assert_eq!(server.ranges.lock().unwrap().len(), 1);
}

#[test]
fn a_file_that_is_there_but_wrong_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("file.bin");
    std::fs::write(&dest, "damaged").unwrap();
    // Not before its replacement is whole, though.
    let broken = serve(&content(), Manner::Says(404));
    assert!(get(&[&broken], None, &dest).is_err());
    assert_eq!(std::fs::read(&dest).unwrap(), b"damaged");
    get(&[&serve(&content(), Manner::Proper)], None, &dest).unwrap();
    assert_eq!(std::fs::read(&dest).unwrap(), content());
}

#[test]
fn a_broken_transfer_goes_on_where_it_stopped() {
    for bytes in [None, Some(200_000)] {
        let dir = tempfile::tempdir().unwrap();
        let dest = dir.path().join("file.bin");
        let server = serve(&content(), Manner::HangsUpAfter(90_000));
        let fetched = get(&[&server], bytes, &dest).unwrap();
        assert_eq!(fetched, Fetched::Downloaded { url: server.url.clone(), resumed_from: 180_000 });
        assert_eq!(std::fs::read(&dest).unwrap(), content());
        let asked = server.ranges.lock().unwrap().clone();
        assert_eq!(asked, [None, Some("bytes=90000-".to_string()), Some("bytes=180000-".to_string())]);
        assert_eq!(names(dir.path()), ["file.bin"]);
    }
}

#[test]
fn what_an_earlier_run_left_is_used() {
    let part_of = |length: usize| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file.bin.part"), &content()[..length]).unwrap();
        let dest = dir.path().join("file.bin");
        (dir, dest)
    };
    // A part that is already whole needs no request.
    let (_dir, dest) = part_of(200_000);
    let server = serve(&content(), Manner::Proper);
    get(&[&server], None, &dest).unwrap();
    assert!(server.ranges.lock().unwrap().is_empty());

    // A server that ignores ranges sends everything again.
    let (dir, dest) = part_of(50_000);
    let server = serve(&content(), Manner::IgnoresRange);
    get(&[&server], None, &dest).unwrap();
    assert_eq!(std::fs::read(&dest).unwrap(), content());
    assert_eq!(server.ranges.lock().unwrap().clone(), [Some("bytes=50000-".to_string())]);
    assert_eq!(names(dir.path()), ["file.bin"]);

    // A part of something else fails its checksum once, then everything is fetched anew from the same server.
    for (left, bytes) in [(vec![1; 50_000], None), (vec![1; 200_000], Some(200_000)), (vec![1; 300_000], None)] {
        let (dir, dest) = part_of(0);
        std::fs::write(dir.path().join("file.bin.part"), left).unwrap();
        get(&[&serve(&content(), Manner::Proper)], bytes, &dest).unwrap();
        assert_eq!(std::fs::read(&dest).unwrap(), content());
    }
}

#[test]
fn an_interrupted_transfer_keeps_what_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("file.bin");
    let server = serve(&content(), Manner::Proper);
    let urls = [server.url.as_str()];
    let mut interrupt = |done: u64, _: Option<u64>, _: &str| if done > 0 { Err(Error::Interrupted) } else { Ok(()) };
    let error = fetch_file(&urls, &md5(&content()), None, &dest, &mut interrupt).unwrap_err();
    assert_eq!(error.exit_code(), 130);
    assert_eq!(names(dir.path()), ["file.bin.part"]);
    let fetched = get(&[&server], None, &dest).unwrap();
    assert!(matches!(fetched, Fetched::Downloaded { resumed_from: 1.., .. }), "{fetched:?}");
}

#[test]
fn a_wrong_checksum_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("file.bin");
    let other = vec![7; 200_000];
    for bytes in [None, Some(200_000)] {
        let error = get(&[&serve(&other, Manner::Proper)], bytes, &dest).unwrap_err();
        let message = error.to_string();
        for part in ["file.bin", &md5(&other), &md5(&content()), "remedy: check the connection"] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
        assert_eq!(error.exit_code(), 1);
        assert!(names(dir.path()).is_empty());
    }
    let message = get(&[&serve(&other, Manner::Proper)], Some(1_000), &dest).unwrap_err().to_string();
    assert!(message.contains("sent more than the 1000 bytes"), "{message}");
    assert!(names(dir.path()).is_empty());
}

#[test]
fn the_next_mirror_helps() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("file.bin");
    let (gone, wrong, good) = (serve(&[], Manner::Says(404)), serve(&[7; 9], Manner::Proper), serve(&content(), Manner::Proper));
    let fetched = get(&[&gone, &wrong, &good], None, &dest).unwrap();
    assert_eq!(fetched, Fetched::Downloaded { url: good.url.clone(), resumed_from: 0 });
}

#[test]
fn when_all_fail_the_message_says_what_each_did() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("file.bin");
    let (gone, busy) = (serve(&[], Manner::Says(404)), serve(&[], Manner::Says(503)));
    let message = get(&[&gone, &busy], None, &dest).unwrap_err().to_string();
    for part in ["no address gave this file", &format!("{}: HTTP 404", gone.url), &format!("{}: HTTP 503", busy.url), "put the file there yourself"] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    // A missing file is asked for once, a busy server five times.
    assert_eq!((gone.ranges.lock().unwrap().len(), busy.ranges.lock().unwrap().len()), (1, 5));
    assert!(names(dir.path()).is_empty());
}

#[test]
fn every_registered_file_can_be_fetched_and_checked() {
    let mut names: Vec<&str> = DATASETS.iter().map(|e| e.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), DATASETS.len(), "names are unique");
    for entry in DATASETS {
        assert!(!entry.summary.is_empty() && !entry.licence.is_empty(), "{}", entry.name);
        for file in entry.files {
            assert!(file.md5.len() == 32 && file.md5.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)), "{}", file.name);
            assert!(!file.urls.is_empty() && file.urls.iter().all(|u| u.starts_with("http") && u.ends_with(file.name)), "{}", file.name);
        }
    }
}

#[test]
fn a_set_without_files_needs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let report = fetch(unlearn::data::find("mnist-mini").unwrap(), dir.path(), &mut |_, _, _| panic!("nothing is fetched")).unwrap();
    assert!(report.files.is_empty() && !report.unpacked && names(dir.path()).is_empty());
}

#[test]
fn a_set_is_fetched_and_unpacked_in_its_folder() {
    // The checksum is right already, so that the address is never asked.
    static FILES: [RemoteFile; 1] =
        [RemoteFile { name: "a.txt", urls: &["http://127.0.0.1:9/a.txt"], md5: "5d41402abc4b2a76b9719d911017c592", bytes: Some(5) }];
    let entry = DatasetEntry {
        name: "toy",
        summary: "",
        licence: "",
        files: &FILES,
        marker: "",
        unpack: Some(|folder| {
            std::fs::write(folder.join("unpacked"), "").unwrap();
            Ok(())
        }),
        load: |_| unlearn::data::synthetic::blobs(),
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("toy")).unwrap();
    std::fs::write(dir.path().join("toy/a.txt"), "hello").unwrap();
    let report = fetch(&entry, dir.path(), &mut |_, _, _| Ok(())).unwrap();
    assert_eq!(report.files, [("a.txt".to_string(), Fetched::AlreadyThere)]);
    assert!(report.unpacked && names(&report.folder) == ["a.txt", "unpacked"]);
    let set: Dataset = (entry.load)(dir.path()).unwrap();
    assert_eq!(set.normalisation, Normalisation::none());
}
