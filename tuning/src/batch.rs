//! Many workloads in one file: read, put in order, divided among machines.
//!
//! ```
//! use dsconv_tuning::batch::{Shard, parse, parse_toml, shard};
//!
//! let text = "\
//! ## MobileNetV1, by how often each block occurs
//! 5 f32 nchw 1x512x14x14 dw:3x3,p1,bias,relu pw:512,bias,relu
//! f32 nchw 1x256x28x28 dw:3x3,p1,bias,relu pw:256,bias,relu
//! g96ic96ih56oc96oh28kh3sh2ph1n\"oneDNN's spelling of a depthwise stage\"
//! ";
//! let items = parse(text)?;
//! assert_eq!(items[0].weight, 5.0);
//! assert_eq!(items[2].workload.to_string(), "f32 nchw 1x96x56x56 dw:3x3,s2,p1/1/0/0,bias");
//!
//! let first: Shard = "1/2".parse()?;
//! assert_eq!(shard(items, first).len(), 2);
//!
//! let named = parse_toml("mbv1_7 = \"f32 nchw 1x512x14x14 dw:3x3,p1,bias,relu pw:512,bias,relu\"")?;
//! assert_eq!(named[0].name.as_deref(), Some("mbv1_7"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use dsconv_kernels::Workload;
use toml::Spanned;

mod benchdnn;

/// Lines that a batch has at most: a bound for files of strangers.
const MOST_ITEMS: usize = 100_000;

/// One workload of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What the file calls it, where the file gives names.
    pub name: Option<String>,
    /// What to tune.
    pub workload: Workload,
    /// How much it matters, such as how often it runs; those of more weight are tuned first.
    pub weight: f64,
}

/// A line that is no workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseBatchError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Reads a batch: one workload a line, in its text form or as oneDNN's benchdnn describes it, a
/// weight before it if it is not 1. Empty lines and those that start with `#` say nothing. A
/// workload that occurs again adds its weight to the first. The heaviest come first, then those
/// that compute most.
///
/// # Errors
///
/// Returns the first line that is no workload.
pub fn parse(text: &str) -> Result<Vec<Item>, ParseBatchError> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, None, line.trim()));
    collect(lines.filter(|(_, _, line)| !line.is_empty() && !line.starts_with('#')))
}

/// Reads a batch of names: a TOML file of `name = "workload"`, in which the text is what a line of
/// [`parse`] is. A workload that occurs again goes by the first of its names.
///
/// # Errors
///
/// Returns the first line that is no workload, or where the file is no TOML.
pub fn parse_toml(text: &str) -> Result<Vec<Item>, ParseBatchError> {
    let line_at = |byte: usize| text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1;
    let table: BTreeMap<String, Spanned<String>> =
        toml::from_str(text).map_err(|error| ParseBatchError {
            line: error.span().map_or(1, |span| line_at(span.start)),
            message: format!("{}; expected `name = \"workload\"`", error.message()),
        })?;
    let mut lines: Vec<(usize, Option<&str>, &str)> = table
        .iter()
        .map(|(name, line)| {
            (line_at(line.span().start), Some(name.as_str()), line.get_ref().trim())
        })
        .collect();
    lines.sort_by_key(|(line, ..)| *line);
    collect(lines.into_iter())
}

/// The items of lines, each with its number, a name and what it says.
fn collect<'a>(
    lines: impl Iterator<Item = (usize, Option<&'a str>, &'a str)>,
) -> Result<Vec<Item>, ParseBatchError> {
    let mut items: Vec<Item> = Vec::new();
    let mut places: HashMap<Workload, usize> = HashMap::new();
    for (line_of_file, name, line) in lines {
        let wrong = |message: String| ParseBatchError { line: line_of_file, message };
        let (weight, rest) = weight(line).map_err(wrong)?;
        let workload = workload(rest).map_err(wrong)?;
        let place = *places.entry(workload).or_insert(items.len());
        match items.get_mut(place) {
            Some(item) => item.weight += weight,
            None => items.push(Item { name: name.map(str::to_owned), workload, weight }),
        }
        if items.len() > MOST_ITEMS {
            return Err(wrong(format!("more than {MOST_ITEMS} workloads: divide the file")));
        }
    }
    items.sort_by(|a, b| {
        let flops = |item: &Item| item.workload.flops();
        b.weight.total_cmp(&a.weight).then(flops(b).cmp(&flops(a)))
    });
    Ok(items)
}

/// The weight before a workload, and what follows it.
fn weight(line: &str) -> Result<(f64, &str), String> {
    let Some((first, rest)) = line.split_once(char::is_whitespace) else { return Ok((1.0, line)) };
    if !first.starts_with(|letter: char| letter.is_ascii_digit() || "+-.".contains(letter)) {
        return Ok((1.0, line));
    }
    match first.parse::<f64>() {
        Ok(weight) if weight.is_finite() && weight > 0.0 => Ok((weight, rest.trim_start())),
        _ => Err(format!("`{first}` is no weight: write a number above 0, such as 3 or 0.5")),
    }
}

fn workload(text: &str) -> Result<Workload, String> {
    if benchdnn::is_descriptor(text) {
        return benchdnn::parse(text);
    }
    text.parse().map_err(|error| {
        format!("{error}; a line is a workload such as `f32 nchw 1x32x28x28 dw:3x3,p1,relu pw:64`")
    })
}

/// One of so many parts of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: NonZeroU32,
}

/// A text that is no shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no shard: write 1/8 to 8/8 for one of eight parts")]
pub struct ParseShardError {
    text: String,
}

impl FromStr for Shard {
    type Err = ParseShardError;

    fn from_str(text: &str) -> Result<Self, ParseShardError> {
        let parts = text.split_once('/').and_then(|(index, count)| {
            let count: NonZeroU32 = count.parse().ok()?;
            let index: u32 = index.parse().ok()?;
            (1..=count.get()).contains(&index).then_some(Self { index, count })
        });
        parts.ok_or_else(|| ParseShardError { text: text.chars().take(40).collect() })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// The items of one shard: every `N`-th, from the `i`-th on, in the batch's order. So each item is
/// in exactly one of `1/N` to `N/N`, and the heavy ones are spread evenly.
pub fn shard(items: Vec<Item>, shard: Shard) -> Vec<Item> {
    let first = shard.index as usize - 1;
    items.into_iter().skip(first).step_by(shard.count.get() as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "f32 nchw 1x8x8x8 dw:3x3,p1 pw:8";
    const LARGE: &str = "f32 nchw 1x64x8x8 dw:3x3,p1 pw:8";

    fn texts(items: &[Item]) -> Vec<String> {
        items.iter().map(|item| item.workload.to_string()).collect()
    }

    #[test]
    fn the_heaviest_come_first_and_then_the_largest() {
        let items = parse(&format!("# blocks\n\n{SMALL}\n{LARGE}\n")).expect("a batch");
        assert_eq!(texts(&items), [LARGE, SMALL]);
        let items = parse(&format!("{LARGE}\n  1.5 {SMALL}  \n")).expect("a batch");
        assert_eq!(texts(&items), [SMALL, LARGE]);
    }

    #[test]
    fn a_workload_that_occurs_again_adds_its_weight() {
        let items = parse(&format!("2 {SMALL}\n{LARGE}\n{SMALL}\n")).expect("a batch");
        assert_eq!(items.len(), 2);
        assert_eq!((items[0].weight, texts(&items)[0].as_str()), (3.0, SMALL));
    }

    #[test]
    fn a_bad_line_is_named_with_what_would_be_right() {
        let refused = |text: &str| parse(text).expect_err(text).to_string();
        let message = refused(&format!("{SMALL}\nf32 nchw nonsense\n"));
        assert!(message.starts_with("line 2: "), "{message}");
        assert!(message.contains("a line is a workload such as"), "{message}");
        for weight in ["0", "-1", "1e999", "3x", "nan.5"] {
            let message = refused(&format!("{weight} {SMALL}"));
            let is_named = message.contains("is no weight") || message.contains("a workload");
            assert!(is_named, "{weight}: {message}");
        }
        assert!(refused("g2ic4ih8oc4oh8kh3ph1").contains("neither depthwise nor pointwise"));
    }

    #[test]
    fn a_file_of_names_is_read_as_lines_are() {
        let text = format!(
            "# blocks\nsmall = \"{SMALL}\"\n\n\"la rge\" = '{LARGE}'\nbis = \"2 {SMALL}\"\n"
        );
        let items = parse_toml(&text).expect("a batch");
        assert_eq!(texts(&items), [SMALL, LARGE]);
        let names: Vec<_> = items.iter().map(|item| item.name.as_deref()).collect();
        assert_eq!(names, [Some("small"), Some("la rge")]);
        assert_eq!(items[0].weight, 3.0);
        assert_eq!(parse(SMALL).expect("a batch")[0].name, None);
    }

    #[test]
    fn a_bad_line_of_a_file_of_names_is_named() {
        for (text, line, part) in [
            (format!("a = \"{SMALL}\"\n\nb = \"nonsense\"\n"), 3, "a line is a workload such as"),
            (format!("a = \"{SMALL}\"\nb = 3\n"), 2, "expected `name = "),
            (format!("a = \"{SMALL}\"\na = \"{LARGE}\"\n"), 2, "duplicate key"),
            (format!("a = \"{SMALL}\"\n{LARGE}\n"), 2, "expected `name = "),
            (format!("[table]\na = \"{SMALL}\"\n"), 1, "expected `name = "),
        ] {
            let error = parse_toml(&text).expect_err(&text);
            assert_eq!(error.line, line, "{error}");
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn each_item_is_in_exactly_one_shard() {
        let lines: String = (1..=23).map(|n| format!("f32 nchw 1x{n}x4x4 pw:4\n")).collect();
        let items = parse(&lines).expect("a batch");
        for count in [1, 2, 5, 23, 40] {
            let mut all: Vec<String> = Vec::new();
            for index in 1..=count {
                let part: Shard = format!("{index}/{count}").parse().expect("a shard");
                let part = shard(items.clone(), part);
                assert!(part.len().abs_diff(23 / count) <= 1);
                all.extend(texts(&part));
            }
            all.sort();
            let mut expected = texts(&items);
            expected.sort();
            assert_eq!(all, expected, "{count}");
        }
    }

    #[test]
    fn shards_count_from_one() {
        for text in ["0/4", "5/4", "1/0", "1", "1/4/2", "-1/4", "a/b", ""] {
            let error = text.parse::<Shard>().expect_err(text);
            assert!(error.to_string().contains("1/8 to 8/8"), "{error}");
        }
        assert_eq!("4/4".parse::<Shard>().expect("the last").to_string(), "4/4");
    }
}
