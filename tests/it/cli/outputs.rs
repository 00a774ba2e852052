//! Folders and files that commands read and write: damaged runs, places that cannot be written, and odd
//! names.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::small_runs::{LABEL, PRETRAIN, SFT, TRAIN_POLICY, TRAIN_REWARD, command, files_in, folder, places};

/// Returns the exit code and the text on stderr.
fn ended(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn run(folder: &Path, arguments: &str) -> (i32, String) {
    ended(&command(folder, arguments).output().unwrap())
}

#[test]
fn a_run_whose_checkpoints_are_all_damaged_stops_and_changes_none() {
    let folder = folder();
    let folder = folder.path();
    let longer = format!("{} --set policy.updates=5", places(TRAIN_POLICY));
    assert_eq!(run(folder, &places(TRAIN_POLICY)).0, 0);
    let checkpoints = folder.join("run/checkpoints");
    let names = files_in(&checkpoints);
    assert_eq!(names.len(), 2);
    for name in &names {
        let manifest = checkpoints.join(name).join("manifest.json");
        let whole = fs::read(&manifest).unwrap();
        fs::write(&manifest, &whole[..whole.len() - 100]).unwrap();
    }
    let weights =
        || names.iter().map(|name| fs::read(checkpoints.join(name).join("model.bpk")).unwrap()).collect::<Vec<_>>();
    let before = weights();
    let (code, text) = run(folder, &longer);
    assert_eq!(code, 4, "{text}");
    assert!(names.iter().all(|name| text.contains(name.as_str())) && text.contains("hint: restore"), "{text}");
    assert!(files_in(&checkpoints) == names && weights() == before);

    // With only one damaged checkpoint, the run resumes from the other, and sets the damaged one aside once
    // it is in the way.
    fs::remove_dir_all(checkpoints.join(&names[0])).unwrap();
    fs::rename(checkpoints.join(&names[1]), checkpoints.join("step-000009")).unwrap();
    fs::create_dir(folder.join("second")).unwrap();
    assert_eq!(run(folder, &format!("{TRAIN_POLICY} --set policy.updates=2 --run second --out second/out")).0, 0);
    fs::rename(folder.join("second/checkpoints/step-000002"), checkpoints.join("step-000002")).unwrap();
    let (code, text) = run(folder, &longer);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("a later checkpoint is damaged") && text.contains("set-aside/step-000009"), "{text}");
    assert_eq!(files_in(&checkpoints), ["set-aside", "step-000004", "step-000005"]);
    assert_eq!(fs::read(checkpoints.join("set-aside/step-000009/model.bpk")).unwrap(), before[1]);
}

/// The link leads to itself, which the operating system refuses to read even as root.
#[cfg(unix)]
#[test]
fn a_run_whose_newest_checkpoint_cannot_be_read_now_does_not_go_on_from_an_older_one() {
    let folder = folder();
    let folder = folder.path();
    for arguments in [TRAIN_REWARD, TRAIN_POLICY, SFT, PRETRAIN] {
        fs::remove_dir_all(folder.join("run")).ok();
        fs::remove_dir_all(folder.join("out")).ok();
        assert_eq!(run(folder, &places(arguments)).0, 0);
        let checkpoints = folder.join("run/checkpoints");
        let names = files_in(&checkpoints);
        let newest = checkpoints.join(names.last().unwrap()).join("model.bpk");
        fs::remove_file(&newest).unwrap();
        std::os::unix::fs::symlink(&newest, &newest).unwrap();
        let (code, text) = run(folder, &places(arguments));
        assert!(code == 1 && text.contains(names.last().unwrap()), "{code} {text}");
        assert_eq!(files_in(&checkpoints), names);
    }
}

#[test]
fn results_that_could_not_be_written_are_refused_before_the_work() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("file"), "mine").unwrap();
    fs::create_dir(folder.join("taken")).unwrap();
    fs::write(folder.join("taken/thesis.txt"), "mine").unwrap();
    for arguments in [TRAIN_REWARD, TRAIN_POLICY, SFT, PRETRAIN, "train --model model --queries queries.txt"] {
        for (out, expected) in [("file/out", 1), ("/proc/out", 1), ("file", 2), ("taken", 2)] {
            let (code, text) = run(folder, &format!("{arguments} --run run --out {out}"));
            assert!(code == expected && text.contains(out), "{arguments} --out {out}: {code} {text}");
            assert!(!folder.join("run/checkpoints").exists(), "{arguments} --out {out}: work was done");
        }
    }
    let eval = "eval --model model --baseline model --queries queries.txt --set eval.pairs=4";
    for (arguments, option) in [
        (eval, "--pairs"),
        (&format!("{eval} --ask"), "--judgments"),
        (&LABEL.replace("--model model", "--model nowhere"), "--out"),
        ("export comparisons.jsonl --format trl", "--out"),
        ("train-labeler --positive queries.txt --negative queries.txt", "--out"),
        ("report fit", "--out"),
        ("report fit", "--svg"),
    ] {
        for (path, expected) in [("file/result", 1), ("/proc/result", 1), ("taken", 2)] {
            let output =
                command(folder, &format!("{arguments} {option} {path}")).stdin(Stdio::null()).output().unwrap();
            let (code, text) = ended(&output);
            assert!(code == expected && text.contains(path), "{arguments} {option} {path}: {code} {text}");
            assert!(output.stdout.is_empty(), "{arguments} {option} {path}: work was done");
        }
        if option != "--judgments" && !arguments.starts_with("label") {
            let (code, text) = run(folder, &format!("{arguments} {option} file"));
            assert!(code == 2 && text.contains("file is there already"), "{arguments} {option}: {code} {text}");
        }
    }
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "mine");
    assert_eq!(files_in(&folder.join("taken")), ["thesis.txt"]);
}

/// Of random tokens, many are parts of characters, which take more tokens when they are read again.
#[test]
fn what_was_judged_is_written_even_if_the_reader_cannot_read_a_response() {
    let folder = folder();
    let folder = folder.path();
    let eval = "eval --model model --baseline model --queries queries.txt --set eval.pairs=4 --perplexity-by model \
                --set task.response_length_tokens=24 --pairs pairs.jsonl";
    let output = command(folder, eval).output().unwrap();
    let (code, text) = ended(&output);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("model (--perplexity-by): the response \""), "{text}");
    assert!(text.contains("reads at most 40") && text.contains("--perplexity-by"), "{text}");
    assert_eq!(fs::read_to_string(folder.join("pairs.jsonl")).unwrap().lines().count(), 4);
    assert!(String::from_utf8_lossy(&output.stdout).contains("judged by"));
}

/// Opening a pipe blocks until another program writes to it, and a device may be endless.
#[cfg(unix)]
#[test]
fn a_pipe_or_a_device_in_a_run_folder_is_refused() {
    let folder = folder();
    let folder = folder.path();
    assert_eq!(run(folder, &places(TRAIN_POLICY)).0, 0);
    let longer = format!("{} --set policy.updates=5", places(TRAIN_POLICY));
    let pipe = |path: &Path| {
        fs::remove_file(path).unwrap();
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let endless = |path: &Path| {
        fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path).unwrap();
    };
    for name in ["config.toml", "run.json", "metrics.jsonl", "samples.jsonl", "passes.json", ".lock"] {
        let path = folder.join("run").join(name);
        let whole = fs::read(&path).unwrap();
        for make in [&pipe as &dyn Fn(&Path), &endless] {
            make(&path);
            let reports = ["config.toml", "run.json", "metrics.jsonl"].contains(&name).then_some("report run");
            for arguments in [longer.as_str()].into_iter().chain(reports) {
                let (code, text) = run(folder, arguments);
                assert!(code == 4 && text.contains("a pipe or a device"), "{name}: {code} {text}");
            }
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, whole).unwrap();
    }
    // A pipe damages a checkpoint, and the run resumes from the one before.
    pipe(
        &folder
            .join("run/checkpoints")
            .join(files_in(&folder.join("run/checkpoints")).pop().unwrap())
            .join("model.bpk"),
    );
    let (code, text) = run(folder, &longer);
    assert!(code == 0 && text.contains("a pipe or a device"), "{code} {text}");
}

#[test]
fn a_report_is_made_anew_in_its_own_place_only() {
    let folder = folder();
    let folder = folder.path();
    for out in ["", "", " --out fit/report.html", " --out ./fit/../fit/report.html", " --out page.html --svg lines.svg"]
    {
        let (code, text) = run(folder, &format!("report fit{out}"));
        assert_eq!(code, 0, "{out}: {text}");
    }
    for out in ["--out page.html", "--svg lines.svg", "--svg fit/report.html", "--out new --svg new"] {
        assert_eq!(run(folder, &format!("report fit {out}")).0, 2, "{out}");
    }
    assert!(!folder.join("new").exists());
    assert_eq!(run(folder, "report nowhere").0, 4);
    assert!(!folder.join("nowhere").exists());
}

#[test]
fn a_model_does_not_take_the_place_of_its_run() {
    let folder = folder();
    let (code, text) = run(folder.path(), &format!("{TRAIN_REWARD} --run both --out both"));
    assert!(code == 2 && text.contains("both is the folder of the run"), "{code} {text}");
    assert!(text.contains("such as both/model"), "{text}");
    assert_eq!(run(folder.path(), &format!("{TRAIN_REWARD} --run both --out both/model")).0, 0);
}

#[test]
fn two_runs_do_not_mix_one_model() {
    let folder = folder();
    let folder = folder.path();
    let mut running: Vec<_> = (0..4)
        .map(|seed| {
            let mut command = command(folder, &format!("{TRAIN_REWARD} --seed {seed} --run run-{seed} --out both"));
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let ended: Vec<(i32, String)> =
        running.drain(..).map(|program| ended(&program.wait_with_output().unwrap())).collect();
    let (done, refused): (Vec<_>, Vec<_>) = ended.iter().partition(|(code, _)| *code == 0);
    assert!(done.len() == 1 && refused.iter().all(|(_, text)| text.contains("both")), "{ended:?}");
    let winner = ended.iter().position(|(code, _)| *code == 0).unwrap();
    assert_eq!(run(folder, &format!("{TRAIN_REWARD} --seed {winner} --run run-{winner} --out again")).0, 0);
    for name in ["model.safetensors", "heads.safetensors"] {
        let [both, again] = ["both", "again"].map(|out| fs::read(folder.join(out).join(name)).unwrap());
        assert!(both == again, "{name} of another run");
    }
    // Another run does not replace the model. The run that wrote it does, once it was trained further.
    let other = 1 - winner.min(1);
    let (code, text) = run(folder, &format!("{TRAIN_REWARD} --seed {other} --run run-{other} --out both"));
    assert!(code == 2 && text.contains("both is there already"), "{code} {text}");
}

#[cfg(unix)]
#[test]
fn runs_and_results_may_have_odd_names() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("file"), "mine").unwrap();
    fs::create_dir(folder.join("real")).unwrap();
    std::os::unix::fs::symlink("real", folder.join("link")).unwrap();
    std::os::unix::fs::symlink("missing", folder.join("dangling")).unwrap();
    let (longest, too_long) = (vec![b'n'; 255], vec![b'n'; 256]);
    let tables: [(&[u8], [i32; 2]); 11] = [
        (b"with space", [0, 0]),
        (b"it's \"quoted\"", [0, 0]),
        (b"two\nlines", [0, 0]),
        (b"latin-1 caf\xe9", [0, 0]),
        ("emoji 🦊 \u{202e}".as_bytes(), [0, 0]),
        (&longest, [0, 0]),
        (&too_long, [1, 1]),
        (b"link", [0, 0]),
        (b"dangling", [1, 0]),
        (b"file", [1, 2]),
        (b"/dev/null", [1, 2]),
    ];
    for (index, (name, expected)) in tables.into_iter().enumerate() {
        for (option, expected) in ["--run", "--out"].into_iter().zip(expected) {
            let other = if option == "--run" { "--out" } else { "--run" };
            let mut command = command(folder, &format!("{TRAIN_REWARD} {other} plain{option}{index} {option}"));
            let (code, text) = ended(&command.arg(OsStr::from_bytes(name)).output().unwrap());
            let shown = OsStr::from_bytes(name).to_string_lossy();
            assert_eq!(code, expected, "{option} {shown}: {text}");
            assert!(code == 0 || text.contains(&*shown), "{option} {shown}: {text}");
            assert!(!text.contains("panicked"), "{text}");
            // The next case needs the folder as it was.
            match name {
                b"link" => {
                    fs::remove_dir_all(folder.join("real")).unwrap();
                    fs::create_dir(folder.join("real")).unwrap();
                }
                b"dangling" => {}
                _ if code == 0 => fs::remove_dir_all(folder.join(OsStr::from_bytes(name))).unwrap(),
                _ => {}
            }
        }
    }
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "mine");
    assert!(fs::metadata("/dev/null").unwrap().file_type() != fs::metadata(folder.join("file")).unwrap().file_type());
    assert!(folder.join("missing/model.safetensors").exists() && folder.join("link").is_symlink());
}
