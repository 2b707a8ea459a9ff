//! Each reader with good files and with every kind of bad one that we thought of; messages are read, not only counted.

use super::*;
use crate::data::Dataset;

const REMEDY: &str = "fetch it";

/// A folder as MNIST's: 3 training images of 2×2 with labels 0, 2, 1 and 1 test image.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_images(&at("train-images-idx3-ubyte.gz"), 2, 2, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]).unwrap();
    write_labels(&at("train-labels-idx1-ubyte"), &[0, 2, 1]).unwrap();
    write_images(&at("t10k-images-idx3-ubyte"), 2, 2, &[20, 21, 22, 23]).unwrap();
    write_labels(&at("t10k-labels-idx1-ubyte.gz"), &[1]).unwrap();
    dir
}

fn header(magic: u32, sizes: &[u32]) -> Vec<u8> {
    std::iter::once(&magic).chain(sizes).flat_map(|w| w.to_be_bytes()).collect()
}

#[test]
fn what_is_written_is_read_plain_or_gzip() {
    let dir = folder();
    let images = read_images(&dir.path().join("train-images-idx3-ubyte"), REMEDY).unwrap();
    assert_eq!(images, Images { count: 3, rows: 2, cols: 2, pixels: (0..12).collect() });
    assert_eq!(read_labels(&dir.path().join("t10k-labels-idx1-ubyte"), REMEDY).unwrap(), [1]);
    // The bytes themselves, so that reader and writer are not merely wrong together.
    let plain = std::fs::read(dir.path().join("t10k-images-idx3-ubyte")).unwrap();
    assert_eq!(plain, [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 20, 21, 22, 23]);
}

#[test]
fn any_folder_of_idx_files_is_a_set() {
    let dir = folder();
    let set = Dataset::load(&format!("idx:{}", dir.path().display()), Path::new("")).unwrap();
    assert_eq!((set.shape(), set.train.len(), set.test.len()), ([1, 2, 2], 3, 1));
    assert_eq!(set.class_names, ["0", "1", "2"]);
    assert_eq!(set.train.image(1), [4, 5, 6, 7]);

    std::fs::write(dir.path().join("shoes-mapping.txt"), "0 97\n1 98\n2 99\n").unwrap();
    assert_eq!(load_folder(dir.path()).unwrap().class_names, ["a", "b", "c"]);
}

#[test]
fn malformed_files_are_refused_with_their_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("train-images-idx3-ubyte");
    let huge = header(IMAGES, &[1 << 31, 28, 28]);
    let many = header(IMAGES, &[u32::MAX, u32::MAX, u32::MAX]);
    let plausible = header(IMAGES, &[5_000_000, 28, 28]);
    let cases = [
        (Vec::new(), "too short for an IDX header"),
        (header(IMAGES, &[1]), "too short for an IDX header"),
        (header(LABELS, &[1, 2, 2]), "magic number 0x00000801, IDX images have 0x00000803"),
        (huge, "the header claims 2147483648×28×28 = 1683627180032 bytes, more than any set"),
        (many, "more than any set"),
        // Within what a set may have: refused for the bytes that are not there, which were never allocated.
        (plausible, "the header claims 5000000×28×28 = 3920000000 bytes, the file holds 0"),
        ([header(IMAGES, &[1, 2, 2]), vec![1, 2, 3]].concat(), "= 4 bytes, the file holds 3"),
        ([header(IMAGES, &[1, 2, 2]), vec![1, 2, 3, 4, 5]].concat(), "= 4 bytes, the file holds more"),
        (header(IMAGES, &[3, 0, 2]), "images of 0×2 pixels"),
    ];
    for (bytes, what) in cases {
        std::fs::write(&path, bytes).unwrap();
        let error = read_images(&path, REMEDY).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("train-images-idx3-ubyte") && message.contains(what) && message.ends_with("remedy: fetch it"), "{message}");
        assert_eq!(error.exit_code(), 2);
    }
    std::fs::remove_file(&path).unwrap();
    let message = read_images(&path, REMEDY).unwrap_err().to_string();
    assert!(message.contains("no such file (nor with .gz)"), "{message}");
}

#[test]
fn damaged_gzip_files_and_bombs_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (asked, path) = (dir.path().join("labels"), dir.path().join("labels.gz"));
    let message = || read_labels(&asked, REMEDY).unwrap_err().to_string();
    write_labels(&path, &(0..=255).cycle().take(1000).collect::<Vec<u8>>()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(message().contains("ends before the 1000 bytes of its header"), "{}", message());
    std::fs::write(&path, "no gzip at all").unwrap();
    assert!(message().contains("damaged gzip data: invalid gzip header"), "{}", message());

    // 64 MiB of zeros in 64 KiB, behind a header that claims ten: reading stops at the eleventh.
    let mut gz = GzEncoder::new(Vec::new(), Compression::best());
    gz.write_all(&header(LABELS, &[10])).unwrap();
    gz.write_all(&vec![0; 64 << 20]).unwrap();
    std::fs::write(&path, gz.finish().unwrap()).unwrap();
    assert!(message().contains("claims 10 = 10 bytes, the file holds more"), "{}", message());
}

#[test]
fn folders_that_do_not_fit_are_refused() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    let message = || load_folder(dir.path()).unwrap_err().to_string();

    write_labels(&at("train-labels-idx1-ubyte"), &[0, 2]).unwrap();
    assert!(message().contains("2 labels need 8 pixel bytes") && message().contains("do not belong together"), "{}", message());
    write_labels(&at("train-labels-idx1-ubyte"), &[0, 2, 1]).unwrap();

    std::fs::write(at("mapping.txt"), "0 97\n1 98\n").unwrap();
    assert!(message().contains("label 2 is not in the mapping file"), "{}", message());
    std::fs::remove_file(at("mapping.txt")).unwrap();

    write_images(&at("t10k-images-idx3-ubyte"), 1, 4, &[0; 4]).unwrap();
    assert!(message().contains("training images of 2×2 pixels, test images of 1×4"), "{}", message());

    write_images(&at("other-train-images-idx3-ubyte"), 2, 2, &[0; 4]).unwrap();
    assert!(message().contains("more than one train-images-idx3 file"), "{}", message());
    std::fs::remove_file(at("other-train-images-idx3-ubyte")).unwrap();

    std::fs::remove_file(at("t10k-images-idx3-ubyte")).unwrap();
    assert!(message().contains("no t10k- or test-images-idx3 file") && message().contains("name the files as MNIST does"), "{}", message());
    assert!(load_folder(&at("nowhere")).unwrap_err().to_string().contains("nowhere"));
}

#[test]
fn a_set_without_files_says_how_to_fetch_it() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["mnist", "fashion-mnist"] {
        let message = Dataset::load(name, dir.path()).unwrap_err().to_string();
        assert!(message.contains("train-images-idx3-ubyte: no such file") && message.contains(&format!("`unlearn data fetch {name}`")), "{message}");
    }
    // A label beyond the set's ten classes.
    let mnist = dir.path().join("mnist");
    std::fs::create_dir(&mnist).unwrap();
    for part in ["train", "t10k"] {
        write_images(&mnist.join(format!("{part}-images-idx3-ubyte")), 1, 1, &[0, 0]).unwrap();
        write_labels(&mnist.join(format!("{part}-labels-idx1-ubyte")), &[3, 10]).unwrap();
    }
    assert!(Dataset::load("mnist", dir.path()).unwrap_err().to_string().contains("label 10 in a set of 10 classes"));
}
