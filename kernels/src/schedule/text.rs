//! The one-line text form of a schedule.

use std::fmt;
use std::str::FromStr;

use super::{
    DepthwiseTile, Family, Fusion, LoopOrder, Packing, PointwiseTile, Schedule, Split, Tail, Taps,
    Window,
};

/// Longest text that is read; every schedule's own text is far shorter.
const LONGEST: usize = 512;

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{token}` in a schedule: expected {expected}")]
pub struct ParseScheduleError {
    token: String,
    expected: String,
}

impl ParseScheduleError {
    fn new(token: &str, expected: impl Into<String>) -> Self {
        Self { token: token.chars().take(40).collect(), expected: expected.into() }
    }
}

/// Text forms of the choices of a schedule: the names that the serialised form has, too.
macro_rules! named {
    ($($choice:ident { $($variant:ident = $name:literal),+ $(,)? })+) => {$(
        impl fmt::Display for $choice {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $name),+ })
            }
        }

        impl FromStr for $choice {
            type Err = ParseScheduleError;

            fn from_str(text: &str) -> Result<Self, ParseScheduleError> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(ParseScheduleError::new(text, [$($name),+].join(" or "))),
                }
            }
        }
    )+};
}

named! {
    Family {
        Pixels = "pixels",
        ChannelsPlanar = "channels_planar",
        ChannelsBlocked = "channels_blocked",
        Nhwc = "nhwc",
    }
    Fusion { Fused = "fused", Staged = "staged" }
    Split { Rows = "rows", Channels = "channels" }
    Tail { Overlap = "overlap", Narrow = "narrow", Overrun = "overrun", Masked = "masked" }
    Taps { Registers = "registers", Memory = "memory" }
    Window { Copied = "copied", Direct = "direct" }
    Packing { Panels = "panels", RowMajor = "row_major" }
    LoopOrder { ChannelsOuter = "channels_outer", PixelsOuter = "pixels_outer" }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} t{}", self.family, self.fusion, self.split, self.tile_rows)?;
        if let Some(tile) = &self.depthwise {
            let DepthwiseTile { lanes, rows, vectors, taps, tail, window } = tile;
            write!(f, " dw:l{lanes},r{rows},v{vectors},{taps},{tail},{window}")?;
        }
        if let Some(tile) = &self.pointwise {
            let PointwiseTile { lanes, broadcasts, vectors, unroll, tail, packing, order } = tile;
            write!(f, " pw:l{lanes},b{broadcasts},v{vectors},u{unroll},{tail},{packing},{order}")?;
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = ParseScheduleError;

    fn from_str(text: &str) -> Result<Self, ParseScheduleError> {
        if text.len() > LONGEST {
            return Err(ParseScheduleError::new(text, format!("at most {LONGEST} characters")));
        }
        let mut words = Words { rest: text, separator: ' ' };
        let family = words.parse("a family, as in `pixels fused rows t7`")?;
        let fusion = words.parse("`fused` or `staged`")?;
        let split = words.parse("`rows` or `channels`")?;
        let tile_rows = words.number('t', "the rows of a tile, as in `t7`")?;
        let mut schedule =
            Self { family, fusion, split, tile_rows, depthwise: None, pointwise: None };
        if let Some(fields) = words.stage("dw:") {
            schedule.depthwise = Some(depthwise(fields)?);
        }
        if let Some(fields) = words.stage("pw:") {
            schedule.pointwise = Some(pointwise(fields)?);
        }
        words.end("`dw:` and then `pw:`, each at most once")?;
        Ok(schedule)
    }
}

fn depthwise(fields: &str) -> Result<DepthwiseTile, ParseScheduleError> {
    let mut fields = Words { rest: fields, separator: ',' };
    let tile = DepthwiseTile {
        lanes: fields.number('l', "lanes, as in `l4`")?,
        rows: fields.number('r', "rows of the register tile, as in `r4`")?,
        vectors: fields.number('v', "vectors of the register tile, as in `v1`")?,
        taps: fields.parse("where the taps are kept")?,
        tail: fields.parse("a tail")?,
        window: fields.parse("a window")?,
    };
    fields.end("nothing after the window")?;
    Ok(tile)
}

fn pointwise(fields: &str) -> Result<PointwiseTile, ParseScheduleError> {
    let mut fields = Words { rest: fields, separator: ',' };
    let tile = PointwiseTile {
        lanes: fields.number('l', "lanes, as in `l4`")?,
        broadcasts: fields.number('b', "broadcasts of the register tile, as in `b6`")?,
        vectors: fields.number('v', "vectors of the register tile, as in `v2`")?,
        unroll: fields.number('u', "input channels a step, as in `u2`")?,
        tail: fields.parse("a tail")?,
        packing: fields.parse("a packing")?,
        order: fields.parse("a loop order")?,
    };
    fields.end("nothing after the loop order")?;
    Ok(tile)
}

/// What is left of a text, word by word.
struct Words<'t> {
    rest: &'t str,
    separator: char,
}

impl<'t> Words<'t> {
    fn next(&mut self) -> &'t str {
        let (word, rest) = self.rest.split_once(self.separator).unwrap_or((self.rest, ""));
        self.rest = rest;
        word
    }

    fn parse<T: FromStr<Err = ParseScheduleError>>(
        &mut self,
        expected: &str,
    ) -> Result<T, ParseScheduleError> {
        match self.next() {
            "" => Err(ParseScheduleError::new("", expected)),
            word => word.parse(),
        }
    }

    fn number<T: FromStr + fmt::Display>(
        &mut self,
        prefix: char,
        expected: &str,
    ) -> Result<T, ParseScheduleError> {
        let word = self.next();
        let number = word.strip_prefix(prefix).and_then(|digits| digits.parse::<T>().ok());
        number
            .filter(|number| format!("{prefix}{number}") == word)
            .ok_or_else(|| ParseScheduleError::new(word, expected))
    }

    /// The fields of a stage, if it comes next.
    fn stage(&mut self, prefix: &str) -> Option<&'t str> {
        if !self.rest.starts_with(prefix) {
            return None;
        }
        self.next().strip_prefix(prefix)
    }

    fn end(&self, expected: &str) -> Result<(), ParseScheduleError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(ParseScheduleError::new(self.rest, expected))
        }
    }
}
