//! `sextant sample --npz`: samples for an evaluation, as they come.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sextant_tests::{Running, refused, sextant, stderr, stdout, tiny};
use sextant_train::sample::{Labels, SampleFile, read_npz};

fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = sextant(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

/// A finished run of the tiny recipe.
fn trained(folder: &Path) {
    succeed(folder, &["train", &tiny(), "--out", "run", "--device", "cpu"]);
}

/// `sample` of that run with these settings, and more.
fn sample<'a>(npz: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let settings =
        "sample run --device cpu --sampler sde --steps 30 --cfg 1.5 --labels random --batch 8 --count 200 --npz";
    let mut words: Vec<&str> = settings.split(' ').collect();
    words.push(npz);
    words.extend(more);
    words
}

#[test]
fn killed_and_split_samplings_come_to_the_bytes_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    trained(path);
    succeed(path, &sample("whole.npz", &[]));
    let whole = fs::read(path.join("whole.npz")).unwrap();

    // Twice killed, each time with some more images on disk.
    let partial = path.join("killed.npz.partial");
    let mut least = 0;
    for _ in 0..2 {
        let mut running = Running::start(path, &sample("killed.npz", &[]));
        running.until("images", || {
            fs::metadata(&partial).is_ok_and(|file| file.len() > least + 20 * 192)
        });
        running.signal("KILL");
        running.end();
        least = fs::metadata(&partial).unwrap().len();
        assert!(!path.join("killed.npz").exists());
    }
    refused(
        path,
        &sample("killed.npz", &["--seed", "77"]),
        &["killed.npz.partial", "seed was 3, is 77"],
    );
    succeed(path, &sample("killed.npz", &[]));
    assert!(fs::read(path.join("killed.npz")).unwrap() == whole);
    assert!(!partial.exists());

    for part in ["2/3", "3/3", "1/3"] {
        assert!(!path.join("parts.npz").exists());
        succeed(path, &sample("parts.npz", &["--part", part]));
    }
    assert!(fs::read(path.join("parts.npz")).unwrap() == whole);
    let left: Vec<_> = fs::read_dir(path)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn a_stop_names_the_command_and_a_second_process_is_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    trained(path);
    let arguments = "sample run --device cpu --steps 20000 --count 9 --npz some.npz";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let mut running = Running::start(path, &arguments);
    running.until("a file", || path.join("some.npz.partial").exists());
    std::thread::sleep(std::time::Duration::from_millis(200));
    refused(path, &arguments, &["some.npz.partial", "another sextant writes"]);
    running.signal("INT");
    let asked = std::time::Instant::now();
    let output = running.end();
    assert!(asked.elapsed() < std::time::Duration::from_secs(2));
    assert_eq!(output.status.code(), Some(130));
    let said = stderr(&output);
    assert!(
        said.contains("go on with: ") && said.contains("--npz some.npz"),
        "{said}"
    );
    assert!(path.join("some.npz.partial").exists() && !path.join("some.npz").exists());
}

#[test]
fn what_cannot_be_sampled_is_refused_and_the_rest_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    trained(path);
    fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["sample", "run", "--device", "cpu"], more].concat()
    }
    for (more, words) in [
        (&["--npz", "a.npz", "--count", "0"][..], &["--count is 0"][..]),
        (&["--npz", "a.npz", "--batch", "0"], &["--batch is 0"]),
        (&["--npz", "a.npy"], &["must end in .npz"]),
        (&["--npz", "a.npz", "--part", "3/2"], &["K/N"]),
        (&["--part", "1/2"], &["--npz"]),
        (&["--npz", "a.npz", "--out", "b"], &["--out"]),
        (&["--labels", "random", "--class", "0"], &["--class"]),
        (&["--npz", "run", "--count", "2"], &["must end in .npz"]),
    ] {
        refused(path, &run(more), words);
    }
    assert!(!path.join("a.npz").exists() && !path.join("a.npz.partial").exists());

    let said = succeed(
        path,
        &run(&["--npz", "some.npz", "--count", "30", "--labels", "random", "--json"]),
    );
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["whole"], &said["settings"]["count"]), (&true.into(), &30.into()));
    let file = SampleFile::open(&path.join("some.npz")).unwrap();
    assert_eq!((file.count(), file.side()), (30, 8));
    succeed(path, &["eval", "some.npz", "--json"]);
    numpy(&path.join("some.npz"));
}

/// numpy, where it is, reads what we read.
fn numpy(npz: &Path) {
    let script = "import sys, hashlib, numpy\n\
                  data = numpy.load(sys.argv[1])\n\
                  images, labels = data['arr_0'], data['arr_1']\n\
                  print(images.shape, images.dtype, labels.dtype, hashlib.sha256(images.tobytes()).hexdigest(), list(map(int, labels)))";
    let python = std::env::var("SEXTANT_PYTHON").unwrap_or("python3".into());
    let there = Command::new(&python).args(["-c", "import numpy"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        println!("skipped: {python} with numpy is not here, or SEXTANT_PYTHON names none");
        return;
    }
    let output = Command::new(&python).args(["-c", script]).arg(npz).output().unwrap();
    let images = read_npz(npz).unwrap().bytes;
    let labels: Vec<usize> = (0..30).map(|i| Labels::Random.of(i, 9, 3)).collect();
    let hash = {
        use sha2::Digest;
        let hash = sha2::Sha256::digest(&images);
        hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let wanted = format!("(30, 8, 8, 3) uint8 int64 {hash} {labels:?}\n");
    assert_eq!(stdout(&output), wanted, "{}", stderr(&output));
}
