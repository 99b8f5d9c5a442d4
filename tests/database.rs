//! Files of records: what is written is read again, and what is damaged spoils nothing else.

mod common;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{any_record, cpu, database, record, workload};
use dsconv::{Database, DatabaseError, Isa, LoadWarning, MergePolicy, Merged, Objective, Record};
use proptest::prelude::*;

fn path() -> &'static Path {
    Path::new("some/records.toml")
}

fn load(text: &str) -> (Database, Vec<LoadWarning>) {
    let loaded =
        Database::from_toml(text, path()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    (loaded.database, loaded.warnings)
}

/// Three records whose texts differ in more than one byte.
fn three() -> Database {
    let records = [11, 22, 33].map(|height| record(workload(24, 48, height), Isa::Fma, 12.5));
    database(cpu(143, 8), records)
}

fn line_of(text: &str, part: &str) -> usize {
    1 + text.lines().position(|line| line.contains(part)).expect("the part is there")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(records in prop::collection::vec(any_record(), 0..8)) {
        let written = database(cpu(1, 2), records);
        let text = written.to_toml();
        let (read, warnings) = load(&text);
        prop_assert_eq!(warnings, vec![]);
        prop_assert_eq!(&read, &written);
        prop_assert_eq!(read.to_toml(), text);
    }

    #[test]
    fn records_are_written_in_one_order(records in prop::collection::vec(any_record(), 0..8)) {
        let mut reversed = Database::new(cpu(1, 2));
        let forwards = database(cpu(1, 2), records.clone());
        for record in forwards.records().collect::<Vec<_>>().into_iter().rev() {
            reversed.insert(record.clone());
        }
        prop_assert_eq!(forwards.to_toml(), reversed.to_toml());
        let keys = |database: &Database| {
            let key = |it: &Record| (it.workload.to_string(), it.isa, it.threads, it.objective);
            database.records().map(key).collect::<Vec<_>>()
        };
        prop_assert!(keys(&forwards).is_sorted());
    }

    #[test]
    fn garbage_is_an_error_that_names_the_file(text in "(?s).{0,200}") {
        let error = Database::from_toml(&text, path()).unwrap_err();
        prop_assert!(error.to_string().starts_with("some/records.toml:"), "{}", error);
    }

    #[test]
    fn toml_like_garbage_after_a_good_record_never_panics_and_spoils_nothing(
        garbage in r#"([\[\]a-z_"'={}, .0-9#\\]|\[\[record\]\]|\n|"""){0,120}"#,
    ) {
        let good = database(cpu(1, 2), [record(workload(8, 8, 9), Isa::Fma, 2.0)]);
        let text = format!("{}\n[[record]]\n{garbage}", good.to_toml());
        let (read, _) = load(&text);
        prop_assert!(good.records().all(|it| read.records().any(|other| it == other)), "{}", text);
    }

    #[test]
    fn a_changed_byte_spoils_at_most_its_own_record(at in any::<prop::sample::Index>(), byte in b' '..=b'~') {
        let written = three();
        let text = written.to_toml();
        let at = at.index(text.len());
        let mut bytes = text.clone().into_bytes();
        bytes[at] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        let starts: Vec<usize> = text.match_indices("[[record]]").map(|(start, _)| start).collect();
        // The line end before a header counts as the header's: without it, the line is no header.
        let touched = starts.iter().rposition(|start| *start <= at + 1);
        match Database::from_toml(&changed, path()) {
            Ok(loaded) => {
                for (index, original) in written.records().enumerate() {
                    let kept = loaded.database.records().any(|it| it == original);
                    prop_assert!(kept || touched == Some(index), "record {index} is lost by byte {at}: {changed}");
                }
            }
            Err(error) => prop_assert_eq!(touched, None, "byte {}: {}", at, error),
        }
    }
}

#[test]
fn a_file_cut_off_at_any_byte_keeps_every_record_before_the_cut() {
    let written = three();
    let text = written.to_toml();
    let ends: Vec<usize> = text
        .match_indices("\n[[record]]")
        .map(|(start, _)| start)
        .skip(1)
        .chain([text.len()])
        .collect();
    for cut in 0..text.len() {
        let complete = ends.iter().filter(|end| **end <= cut).count();
        match Database::from_toml(&text[..cut], path()) {
            Ok(loaded) => {
                let kept: Vec<&Record> = loaded.database.records().collect();
                let expected: Vec<&Record> = written.records().take(complete).collect();
                assert_eq!(kept, expected, "cut at byte {cut}");
            }
            Err(error) => {
                assert_eq!(complete, 0, "cut at byte {cut}: {error}");
                assert!(error.to_string().starts_with("some/records.toml:"), "{error}");
            }
        }
    }
}

#[test]
fn a_cut_inside_a_number_is_told_with_its_line() {
    let text = three().to_toml();
    let cut = text.trim_end().len() - 1; // `default_us = 99.5` becomes `default_us = 99.`
    for cut in [cut, cut - 1] {
        let (read, warnings) = load(&text[..cut]);
        assert_eq!(read.len(), 2);
        assert_eq!(warnings[0].line, text.lines().count());
        assert!(warnings[0].to_string().contains("ends inside this line"), "{}", warnings[0]);
    }
}

#[test]
fn a_bad_record_is_skipped_with_its_line_and_its_neighbours_are_kept() {
    let text = three().to_toml();
    let second = text.match_indices("threads = 1").nth(1).unwrap().0;
    let line = 1 + text[..second].matches('\n').count();
    for (bad, told) in [
        ("threads = \"x\"", "string"),
        ("threads = 0 ", "`threads` is 0"),
        ("thread  = 1", "missing field `threads`"),
        ("threads = -1", "-1"),
        ("threads   1", "record skipped"),
    ] {
        let changed = format!("{}{bad}{}", &text[..second], &text[second + bad.len().min(11)..]);
        let (read, warnings) = load(&changed);
        assert_eq!(read.len(), 2, "{bad}: {warnings:?}");
        let heights: Vec<usize> = read.records().map(|it| it.workload.height()).collect();
        assert_eq!(heights, [11, 33], "{bad}");
        let told = warnings.iter().find(|it| it.message.contains(told));
        let told = told.unwrap_or_else(|| panic!("{bad}: {warnings:?}"));
        assert!(line.abs_diff(told.line) <= 3, "{told}, not near line {line}");
        assert_eq!(told.path, path());
    }
}

#[test]
fn times_that_no_clock_gives_spoil_their_record() {
    let text = three().to_toml();
    for (from, to) in [
        ("median_us = 12.5", "median_us = nan"),
        ("median_us = 12.5", "median_us = -1.0"),
        ("default_us = 99.5", "default_us = inf"),
        ("median_us = 13.5", "median_us = -inf"),
    ] {
        let (read, warnings) = load(&text.replacen(from, to, 1));
        assert_eq!(read.len(), 2, "{to}");
        assert!(warnings[0].message.contains("must be a finite number"), "{}", warnings[0]);
    }
}

#[test]
fn unknown_fields_are_ignored_and_told_except_inside_a_schedule() {
    let text = three().to_toml();
    for (after, expected) in [
        ("format = 1", "unknown field `colour` ignored"),
        ("family = 6", "unknown field `cpu.colour` ignored"),
        ("objective = \"warm\"", "unknown field `colour` ignored"),
        ("strategy = \"random\"", "unknown field `provenance.colour` ignored"),
    ] {
        let changed = text.replacen(after, &format!("{after}\ncolour = \"red\""), 1);
        let (read, warnings) = load(&changed);
        assert_eq!(read, three(), "after {after}");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0].message, expected);
        assert_eq!(warnings[0].line, line_of(&changed, "colour"));
    }
    let changed = text.replacen("samples = 30", "samples = 30, colour = 1", 1);
    assert_eq!(load(&changed).1[0].message, "unknown field `measurement.colour` ignored");
    let changed = text.replacen("\nfusion = ", "\ncolour = 1\nfusion = ", 1);
    let (read, warnings) = load(&changed);
    assert_eq!(read.len(), 2);
    assert!(warnings[0].message.starts_with("record skipped"), "{}", warnings[0]);
}

#[test]
fn a_file_without_a_last_line_end_is_read_up_to_its_last_line() {
    let text = three().to_toml();
    let (read, warnings) = load(text.trim_end());
    assert_eq!((read.len(), warnings.len()), (2, 2));
}

#[test]
fn comments_blank_lines_and_windows_line_ends_change_nothing() {
    let text = three().to_toml();
    let commented = text.replace("isa = ", "# a comment\n\nisa = ");
    for text in [commented, text.replace('\n', "\r\n")] {
        assert_eq!(load(&text), (three(), vec![]));
    }
}

#[test]
fn sizes_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.toml");
    fs::File::create(&file).unwrap().set_len((32 << 20) + 1).unwrap();
    let error = Database::load(&file).unwrap_err().to_string();
    assert!(error.contains("bytes, more than the 33554432"), "{error}");

    let head = Database::new(cpu(1, 1)).to_toml();
    let many = format!("{head}{}", "[[record]]\n".repeat(20_001));
    let error = Database::from_toml(&many, path()).unwrap_err().to_string();
    assert!(error.contains("20001 records, more than the 20000"), "{error}");

    let (_, warnings) = load(&format!("{head}{}", "[[record]]\n".repeat(5_000)));
    assert_eq!(warnings.len(), 1001);
    assert!(warnings[1000].message.contains("further warnings left out"));
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.toml");
    let error = Database::load(&file).unwrap_err();
    assert!(matches!(error, DatabaseError::Read { .. }), "{error}");
    fs::write(&file, b"format = 1\n# \xff\n").unwrap();
    let error = Database::load(&file).unwrap_err().to_string();
    assert!(error.contains("records.toml:2: not UTF-8"), "{error}");
}

#[test]
fn a_later_format_is_refused_and_left_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.toml");
    let later = three().to_toml().replace("format = 1", "format = 2\nlater = true");
    fs::write(&file, &later).unwrap();
    let error = Database::load(&file).unwrap_err();
    assert!(matches!(error, DatabaseError::FutureFormat { found: 2, supported: 1, .. }), "{error}");
    let error = three().commit(&file).unwrap_err();
    assert!(matches!(error, DatabaseError::FutureFormat { .. }), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), later);
    for odd in ["format = 0", "format = -1", "format = \"1\"", "format = 99999999999999999999"] {
        let text = three().to_toml().replace("format = 1", odd);
        assert!(Database::from_toml(&text, path()).is_err(), "{odd}");
    }
}

#[test]
fn lookup_wants_the_same_workload_instruction_set_and_threads_and_prefers_warm() {
    let wanted = workload(24, 48, 11);
    let cold = Record { objective: Objective::Cold, ..record(wanted, Isa::Fma, 2.0) };
    let mut database = database(cpu(1, 1), [cold.clone()]);
    assert_eq!(database.lookup(&wanted, Isa::Fma, 1), Some(&cold));
    assert_eq!(database.lookup(&wanted, Isa::Fma, 2), None);
    assert_eq!(database.lookup(&wanted, Isa::Neon, 1), None);
    assert_eq!(database.lookup(&workload(24, 48, 12), Isa::Fma, 1), None);
    let warm = record(wanted, Isa::Fma, 1.0);
    database.insert(warm.clone());
    assert_eq!(database.lookup(&wanted, Isa::Fma, 1), Some(&warm));
    let faster = record(wanted, Isa::Fma, 0.5);
    database.insert(faster.clone());
    assert_eq!(database.lookup(&wanted, Isa::Fma, 1), Some(&faster));
    assert_eq!(database.len(), 2);
}

#[test]
fn merging_keeps_both_prefers_the_other_and_refuses_another_cpu() {
    let (one, two) = (workload(8, 8, 11), workload(8, 8, 22));
    let mut left = database(cpu(1, 1), [record(one, Isa::Fma, 1.0), record(two, Isa::Fma, 1.0)]);
    let right = database(cpu(1, 1), [record(two, Isa::Fma, 2.0)]);
    left.merge(right).unwrap();
    let medians: Vec<f64> = left.records().map(|it| it.measurement.median_us).collect();
    assert_eq!(medians, [1.0, 2.0]);
    let before = left.clone();
    let error = left.merge(database(cpu(1, 2), [])).unwrap_err();
    assert_eq!(
        (error.found.as_str(), error.expected.as_str()),
        ("genuinetest-6-1-2", "genuinetest-6-1-1")
    );
    assert_eq!(left, before);
}

#[test]
fn a_policy_decides_between_records_of_the_same_key() {
    let wanted = workload(8, 8, 11);
    let at = |median_us: f64, date: &str| {
        let mut record = record(wanted, Isa::Fma, median_us);
        record.provenance.date = date.to_owned();
        record
    };
    let (early, late) = ("2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z");
    let merged = |policy, present: &Record, added: &Record| {
        let mut left = database(cpu(1, 1), [present.clone()]);
        let told = left.merge_by(database(cpu(1, 1), [added.clone()]), policy).unwrap();
        let winner = left.records().next().unwrap().clone();
        assert_eq!((told.added, told.replaced + told.kept), (0, 1));
        assert_eq!(told.replaced == 1, winner == *added && added != present);
        winner
    };
    let (fast, slow) = (at(1.0, early), at(2.0, late));
    for (one, other) in [(&fast, &slow), (&slow, &fast)] {
        assert_eq!(merged(MergePolicy::Best, one, other), fast);
        assert_eq!(merged(MergePolicy::Newest, one, other), slow);
        assert_eq!(merged(MergePolicy::Replace, one, other), *other);
    }
    // A stranger's date that is none does not win, and equal times are settled by dates.
    for nonsense in ["", "9999", "tomorrow", "9999-01-01T00:00:00+00:00"] {
        let odd = at(0.5, nonsense);
        assert_eq!(merged(MergePolicy::Newest, &odd, &fast), fast);
        assert_eq!(merged(MergePolicy::Newest, &fast, &odd), fast);
    }
    assert_eq!(merged(MergePolicy::Best, &at(1.0, early), &at(1.0, late)), at(1.0, late));
    assert_eq!(merged(MergePolicy::Newest, &at(2.0, late), &at(1.0, late)), at(1.0, late));
    let mut renewed = at(1.0, late);
    renewed.provenance.code_generation += 1;
    for policy in [MergePolicy::Best, MergePolicy::Newest] {
        for [one, other] in [[&renewed, &at(1.0, late)], [&at(1.0, late), &renewed]] {
            assert_eq!(merged(policy, one, other), renewed);
        }
        assert_eq!(
            merged(policy, &renewed, &at(0.5, "2027-01-01T00:00:00Z")).measurement.median_us,
            0.5
        );
    }
}

#[test]
fn a_commit_by_policy_tells_what_became_of_each_record() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.toml");
    let [one, two, three] = [11, 22, 33].map(|height| workload(8, 8, height));
    database(cpu(1, 1), [record(one, Isa::Fma, 1.0), record(two, Isa::Fma, 2.0)])
        .commit(&file)
        .unwrap();
    let other = [(one, 2.0), (two, 1.0), (three, 1.0)];
    let told = database(cpu(1, 1), other.map(|(wanted, us)| record(wanted, Isa::Fma, us)))
        .commit_by(&file, MergePolicy::Best)
        .unwrap();
    assert_eq!(told, Merged { added: 1, replaced: 1, kept: 1 });
    let loaded = Database::load(&file).unwrap().database;
    assert!(loaded.records().all(|it| it.measurement.median_us == 1.0));
}

#[test]
fn pruning_takes_records_out_and_keeps_the_file_as_it_was_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.toml");
    three().commit(&file).unwrap();
    let before = fs::read_to_string(&file).unwrap();
    let none = Database::prune(&file, |_| false).unwrap();
    assert_eq!((none.records.len(), none.left, none.backup), (0, 3, None));
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    let pruned = Database::prune(&file, |it| it.workload.height() == 22).unwrap();
    assert_eq!((pruned.records.len(), pruned.left), (1, 2));
    assert_eq!(fs::read_to_string(pruned.backup.unwrap()).unwrap(), before);
    let heights: Vec<usize> =
        Database::load(&file).unwrap().database.records().map(|it| it.workload.height()).collect();
    assert_eq!(heights, [11, 33]);

    let absent = folder.path().join("nowhere/records.toml");
    assert!(matches!(Database::prune(&absent, |_| true), Err(DatabaseError::Read { .. })));
    assert!(!absent.parent().unwrap().exists());
}

#[test]
fn texts_and_threads_of_strangers_are_bounded() {
    let text = three().to_toml();
    let long = "x".repeat(257);
    for (from, to, told) in [
        ("version = \"0.1.0\"", format!("version = \"{long}\""), "`version` has 257 bytes"),
        ("strategy = \"random\"", format!("strategy = \"{long}\""), "`strategy` has 257 bytes"),
        (
            "threads = 1\n",
            "threads = 4097\n".to_owned(),
            "`threads` is 4097, must be from 1 to 4096",
        ),
    ] {
        let (read, warnings) = load(&text.replacen(from, &to, 1));
        assert_eq!(read.len(), 2, "{to}");
        assert!(warnings[0].message.contains(told), "{}", warnings[0]);
    }
    for (from, to, told) in [
        ("vendor = \"GenuineTest\"", format!("vendor = \"{long}\""), "`vendor` has 257 bytes"),
        (
            "l2_bytes = 1048576",
            format!("l2_bytes = {}", u64::MAX),
            "`l2_bytes` is 18446744073709551615, must be at most 1073741824",
        ),
        (
            "\"fma\"]",
            format!("{}]", vec!["\"x\""; 300].join(", ")),
            "301 `features`, must be at most 256",
        ),
    ] {
        let error = Database::from_toml(&text.replacen(from, &to, 1), path()).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
}

/// Every line of an unfinished string is a line that might be the bad one.
#[test]
fn a_text_that_is_bad_in_every_line_is_given_up_in_time() {
    let text = format!("{}\n[[record]]\nx = \"\"\"\n{}", three().to_toml(), "y\n".repeat(200_000));
    let (read, warnings) = load(&text);
    assert_eq!(read, three());
    assert!(!warnings.is_empty());
}

#[test]
fn a_long_file_is_read_like_a_short_one_and_a_long_record_is_skipped() {
    let heights = 11..1511;
    let records = heights.map(|height| record(workload(24, 48, height), Isa::Fma, 12.5));
    let many = database(cpu(143, 8), records);
    let text = many.to_toml();
    assert!(text.len() > 1 << 20);
    assert_eq!(load(&text), (many.clone(), vec![]));
    let unknown = text.replacen("format = 1", "format = 1\ncolour = 1", 1);
    let (read, warnings) = load(&unknown);
    assert_eq!((read, warnings.len()), (many.clone(), 1));
    let longer = format!("{text}\n[[record]]\nx = [{}]\n", "[],".repeat(1 << 18));
    let (read, warnings) = load(&longer);
    assert_eq!(read, many);
    assert_eq!(warnings[0].line, line_of(&longer, "x = ") - 1);
    assert!(warnings[0].message.contains("bytes up to the next record"), "{}", warnings[0]);
    let head = format!("colour = [{}]\n{text}", "1,".repeat(1 << 20));
    let error = Database::from_toml(&head, path()).unwrap_err().to_string();
    assert!(error.contains("bytes up to the next record, more than 65536"), "{error}");
}

#[test]
fn a_record_that_does_not_tell_its_code_generation_is_read_and_written_as_it_was() {
    let told = format!("code_generation = {}\n", dsconv::CODE_GENERATION);
    let text = three().to_toml();
    assert!(text.contains(&told) && three().records().all(Record::is_current));
    let older = text.replace(&told, "");
    let (read, warnings) = load(&older);
    assert_eq!((read.len(), warnings.len()), (3, 0));
    assert!(read.records().all(|it| !it.is_current() && it.provenance.code_generation == 0));
    assert_eq!(read.to_toml(), older);
}

#[test]
fn a_commit_creates_the_folder_keeps_what_is_there_and_leaves_only_its_lock() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a/b/records.toml");
    let (one, two) = (workload(8, 8, 11), workload(8, 8, 22));
    database(cpu(1, 1), [record(one, Isa::Fma, 1.0), record(two, Isa::Fma, 1.0)])
        .commit(&file)
        .unwrap();
    database(cpu(1, 1), [record(two, Isa::Fma, 2.0)]).commit(&file).unwrap();
    let loaded = Database::load(&file).unwrap();
    assert_eq!(loaded.warnings, []);
    let medians: Vec<f64> = loaded.database.records().map(|it| it.measurement.median_us).collect();
    assert_eq!(medians, [1.0, 2.0]);
    assert_eq!(names(file.parent().unwrap()), ["records.toml", "records.toml.lock"]);
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn a_commit_into_a_blank_file_starts_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "\n").unwrap();
    three().commit(file.path()).unwrap();
    assert_eq!(Database::load(file.path()).unwrap().database, three());
}

#[test]
fn a_commit_into_another_cpus_file_or_no_database_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.toml");
    for old in [database(cpu(9, 9), []).to_toml(), "[package]\nname = \"x\"\n".to_owned()] {
        fs::write(&file, &old).unwrap();
        let error = three().commit(&file).unwrap_err();
        assert!(error.to_string().contains("records.toml"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), old);
        assert_eq!(names(folder.path()), ["records.toml", "records.toml.lock"]);
    }
}

#[test]
fn a_commit_over_a_damaged_file_keeps_the_damaged_one_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.toml");
    let text = three().to_toml();
    let damaged = &text[..text.len() - 40];
    fs::write(&file, damaged).unwrap();
    database(cpu(143, 8), [record(workload(24, 48, 44), Isa::Fma, 1.0)]).commit(&file).unwrap();
    let loaded = Database::load(&file).unwrap();
    assert_eq!((loaded.database.len(), loaded.warnings.len()), (3, 0));
    assert_eq!(fs::read_to_string(folder.path().join("records.toml.bak")).unwrap(), damaged);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_that_names_it_and_the_old_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.toml");
    three().commit(&file).unwrap();
    let old = fs::read_to_string(&file).unwrap();
    // Root may write everywhere, so the obstacles are of the wrong kind instead of forbidden.
    let error = three().commit(&file.join("below/a/file.toml")).unwrap_err();
    assert!(matches!(error, DatabaseError::Write { .. }), "{error}");
    assert!(error.to_string().contains("file.toml: cannot be written"), "{error}");
    let lock = folder.path().join("records.toml.lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let error = database(cpu(143, 8), []).commit(&file).unwrap_err();
    assert!(error.to_string().contains("the old file, if any, is unchanged"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), old);
}

#[cfg(unix)]
#[test]
fn a_commit_through_a_link_writes_the_file_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("real.toml"), folder.path().join("link.toml"));
    three().commit(&file).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    database(cpu(143, 8), [record(workload(24, 48, 44), Isa::Fma, 1.0)]).commit(&link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(Database::load(&file).unwrap().database.len(), 4);
}

/// Commits `count` records of this writer's own, one at a time.
fn commit_one_by_one(file: &Path, writer: usize, count: usize) {
    for index in 0..count {
        let workload = workload(8 + writer, 8, 11 + index);
        database(cpu(1, 1), [record(workload, Isa::Fma, 1.0)]).commit(file).unwrap();
    }
}

#[test]
fn commits_of_many_threads_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.toml");
    std::thread::scope(|scope| {
        for writer in 0..6 {
            let file = &file;
            scope.spawn(move || commit_one_by_one(file, writer, 5));
        }
    });
    assert_eq!(Database::load(&file).unwrap().database.len(), 30);
    assert_eq!(names(folder.path()), ["records.toml", "records.toml.lock"]);
}

#[test]
fn commits_of_many_processes_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.toml");
    let children: Vec<_> = (0..4)
        .map(|writer: usize| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "child_process_that_commits", "--ignored"])
                .env("DSCONV_TEST_FILE", &file)
                .env("DSCONV_TEST_WRITER", writer.to_string())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(Database::load(&file).unwrap().database.len(), 20);
    assert_eq!(names(folder.path()), ["records.toml", "records.toml.lock"]);
}

#[test]
#[ignore = "run by commits_of_many_processes_lose_nothing, which names a file"]
fn child_process_that_commits() {
    if let Some(file) = std::env::var_os("DSCONV_TEST_FILE") {
        let writer = std::env::var("DSCONV_TEST_WRITER").unwrap().parse().unwrap();
        commit_one_by_one(&PathBuf::from(file), writer, 5);
    }
}
