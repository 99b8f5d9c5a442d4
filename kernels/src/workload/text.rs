//! The one-line text form of a workload: a record's key, a command-line argument, a test's repro.
//!
//! ```text
//! f32 nchw 1x32x112x112 dw:3x3,s2,p0/0/1/1,bias,relu6 pw:64,bias,residual
//! ```
//!
//! A workload has exactly one text: what is the default is left out, and what is there stands in
//! one order. Any other spelling is refused with the right one.

use std::fmt::{self, Display};
use std::str::FromStr;

use super::{DType, Depthwise, InvalidWorkload, Layout, Padding, Pointwise, Workload};
use crate::activation::Activation;

/// Longest text that is read, in bytes; the longest text of a workload is about half of it.
const MAX_BYTES: usize = 1024;

/// Most bytes of a token that an error repeats.
const MAX_QUOTED: usize = 80;

/// Why a text is no workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseWorkloadError {
    /// More text than any workload has.
    #[error("the text has {bytes} bytes, a workload has at most {}", MAX_BYTES)]
    TooLong {
        /// Bytes of the text.
        bytes: usize,
    },
    /// The text ends, or a stage ends, where something is needed.
    #[error("something is missing at the end of `{after}`: expected {expected}")]
    Missing {
        /// What stands before the gap.
        after: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A token that does not belong where it stands.
    #[error("`{token}`: expected {expected}")]
    Unexpected {
        /// The token.
        token: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A token that means something, in another spelling than the one that is printed.
    #[error("`{token}` has another spelling: write `{canonical}`")]
    NotCanonical {
        /// The token.
        token: String,
        /// What would be right.
        canonical: String,
    },
    /// A workload that breaks a rule.
    #[error("no valid workload: {0}")]
    Invalid(#[from] InvalidWorkload),
}

impl Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nchw => "nchw",
            Self::Nhwc => "nhwc",
        })
    }
}

impl Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
        })
    }
}

impl Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [batch, channels, rows, cols] = self.input_shape();
        write!(f, "{} {} {batch}x{channels}x{rows}x{cols}", self.dtype(), self.layout())?;
        if let Some(stage) = self.depthwise() {
            write_depthwise(f, stage)?;
        }
        if let Some(stage) = self.pointwise() {
            write_pointwise(f, stage)?;
        }
        Ok(())
    }
}

fn write_depthwise(f: &mut fmt::Formatter<'_>, stage: &Depthwise) -> fmt::Result {
    write!(f, " dw:{}x{}", stage.kernel[0], stage.kernel[1])?;
    write_pair(f, 's', stage.stride)?;
    write_pair(f, 'd', stage.dilation)?;
    let Padding { top, left, bottom, right } = stage.padding;
    if stage.padding != Padding::default() {
        let all_sides = top == left && i64::from(top) == i64::from(bottom) && bottom == right;
        if all_sides {
            write!(f, ",p{top}")?;
        } else {
            write!(f, ",p{top}/{left}/{bottom}/{right}")?;
        }
    }
    if stage.multiplier != 1 {
        write!(f, ",m{}", stage.multiplier)?;
    }
    write_flag(f, "bias", stage.bias)?;
    write_activation(f, stage.activation)
}

fn write_pointwise(f: &mut fmt::Formatter<'_>, stage: &Pointwise) -> fmt::Result {
    write!(f, " pw:{}", stage.channels)?;
    write_pair(f, 's', stage.stride)?;
    write_flag(f, "bias", stage.bias)?;
    write_flag(f, "residual", stage.residual)?;
    write_activation(f, stage.activation)
}

fn write_pair(f: &mut fmt::Formatter<'_>, letter: char, pair: [u32; 2]) -> fmt::Result {
    match pair {
        [1, 1] => Ok(()),
        [rows, cols] if rows == cols => write!(f, ",{letter}{rows}"),
        [rows, cols] => write!(f, ",{letter}{rows}x{cols}"),
    }
}

fn write_flag(f: &mut fmt::Formatter<'_>, name: &str, set: bool) -> fmt::Result {
    if set { write!(f, ",{name}") } else { Ok(()) }
}

fn write_activation(f: &mut fmt::Formatter<'_>, activation: Activation) -> fmt::Result {
    if activation == Activation::None { Ok(()) } else { write!(f, ",{activation}") }
}

impl FromStr for Workload {
    type Err = ParseWorkloadError;

    fn from_str(text: &str) -> Result<Self, ParseWorkloadError> {
        if text.len() > MAX_BYTES {
            return Err(ParseWorkloadError::TooLong { bytes: text.len() });
        }
        let mut tokens = Tokens::new(text, ' ');
        let dtype = tokens.next("the element type `f32`", |token| match token {
            "f32" => Some(DType::F32),
            _ => None,
        })?;
        let layout = tokens.next("the layout `nchw` or `nhwc`", |token| match token {
            "nchw" => Some(Layout::Nchw),
            "nhwc" => Some(Layout::Nhwc),
            _ => None,
        })?;
        let shape = tokens.next("the input's shape NxCxHxW, such as `1x32x112x112`", |token| {
            numbers(token, 'x')
        })?;
        let mut builder = Self::builder(shape).layout(layout);
        builder.dtype = dtype;
        if let Some(stage) = tokens.next_if(|token| token.strip_prefix("dw:")) {
            builder.depthwise = Some(parse_depthwise(stage)?);
        }
        if let Some(stage) = tokens.next_if(|token| token.strip_prefix("pw:")) {
            builder.pointwise = Some(parse_pointwise(stage)?);
        }
        tokens.end(match (builder.depthwise, builder.pointwise) {
            (None, None) => "a stage, such as `dw:3x3,p1,bias` or `pw:64,bias`",
            (Some(_), None) => "a pointwise stage, such as `pw:64,bias`, or the end",
            (_, Some(_)) => "the end",
        })?;
        let workload = builder.build()?;
        check_spelling(text, &workload)?;
        Ok(workload)
    }
}

fn parse_depthwise(text: &str) -> Result<Depthwise, ParseWorkloadError> {
    let mut tokens = Tokens::new(text, ',');
    let [rows, cols] =
        tokens.next("the depthwise kernel RxS, such as `3x3`", |token| numbers(token, 'x'))?;
    let stage = Depthwise {
        stride: tokens.next_if(|token| pair(token, 's')).unwrap_or([1, 1]),
        dilation: tokens.next_if(|token| pair(token, 'd')).unwrap_or([1, 1]),
        padding: tokens.next_if(padding).unwrap_or_default(),
        multiplier: tokens.next_if(|token| token.strip_prefix('m')?.parse().ok()).unwrap_or(1),
        bias: tokens.next_if(|token| (token == "bias").then_some(())).is_some(),
        activation: tokens.next_if(|token| token.parse().ok()).unwrap_or_default(),
        ..Depthwise::kernel(rows, cols)
    };
    tokens.end(
        "parts of a depthwise stage in the order `RxS,s2,d2,p1,m2,bias,relu6`, where padding may be \
         `p<top>/<left>/<bottom>/<right>` and stride and dilation `<rows>x<columns>`",
    )?;
    Ok(stage)
}

fn parse_pointwise(text: &str) -> Result<Pointwise, ParseWorkloadError> {
    let mut tokens = Tokens::new(text, ',');
    let channels = tokens
        .next("the output channels of the pointwise stage, such as `64`", |token| {
            token.parse().ok()
        })?;
    let stage = Pointwise {
        stride: tokens.next_if(|token| pair(token, 's')).unwrap_or([1, 1]),
        bias: tokens.next_if(|token| (token == "bias").then_some(())).is_some(),
        residual: tokens.next_if(|token| (token == "residual").then_some(())).is_some(),
        activation: tokens.next_if(|token| token.parse().ok()).unwrap_or_default(),
        ..Pointwise::channels(channels)
    };
    tokens.end(
        "parts of a pointwise stage in the order `K,s2,bias,residual,relu6`, where the stride may be \
         `s<rows>x<columns>`",
    )?;
    Ok(stage)
}

/// Refuses what means the workload but is not how it is printed: leading zeros, a default that is
/// spelled out, `s2x2`.
fn check_spelling(text: &str, workload: &Workload) -> Result<(), ParseWorkloadError> {
    let printed = workload.to_string();
    if printed == text {
        return Ok(());
    }
    let differs = |(found, canonical): &(&str, &str)| found != canonical;
    let (found, canonical) =
        text.split(' ').zip(printed.split(' ')).find(differs).unwrap_or((text, &printed));
    Err(ParseWorkloadError::NotCanonical { token: quote(found), canonical: canonical.to_owned() })
}

/// `N` numbers with a separator between them.
fn numbers<T: FromStr, const N: usize>(token: &str, separator: char) -> Option<[T; N]> {
    let parsed: Vec<T> = token
        .split(separator)
        .take(N + 1)
        .map(|number| number.parse().ok())
        .collect::<Option<_>>()?;
    parsed.try_into().ok()
}

/// `s2` or `s2x1`.
fn pair(token: &str, letter: char) -> Option<[u32; 2]> {
    let token = token.strip_prefix(letter)?;
    match token.parse() {
        Ok(both) => Some([both, both]),
        Err(_) => numbers(token, 'x'),
    }
}

/// `p1` or `p1/2/0/-1`.
fn padding(token: &str) -> Option<Padding> {
    let token = token.strip_prefix('p')?;
    if let Ok(pixels) = token.parse::<u32>() {
        return i32::try_from(pixels).is_ok().then(|| Padding::same(pixels));
    }
    let [top, left, bottom, right] = numbers::<i64, 4>(token, '/')?;
    Some(Padding {
        top: top.try_into().ok()?,
        left: left.try_into().ok()?,
        bottom: bottom.try_into().ok()?,
        right: right.try_into().ok()?,
    })
}

/// Tokens between separators, each taken by the first rule that knows it.
struct Tokens<'a> {
    whole: &'a str,
    rest: std::iter::Peekable<std::str::Split<'a, char>>,
}

impl<'a> Tokens<'a> {
    fn new(whole: &'a str, separator: char) -> Self {
        Self { whole, rest: whole.split(separator).peekable() }
    }

    /// The next token, which must be there and be known.
    fn next<T>(
        &mut self,
        expected: &'static str,
        parse: impl Fn(&'a str) -> Option<T>,
    ) -> Result<T, ParseWorkloadError> {
        let Some(token) = self.rest.next() else {
            return Err(ParseWorkloadError::Missing { after: quote(self.whole), expected });
        };
        parse(token).ok_or_else(|| ParseWorkloadError::Unexpected { token: quote(token), expected })
    }

    /// The next token, where it is known.
    fn next_if<T>(&mut self, parse: impl Fn(&'a str) -> Option<T>) -> Option<T> {
        let parsed = parse(self.rest.peek()?)?;
        self.rest.next();
        Some(parsed)
    }

    /// Refuses a token that no rule took.
    fn end(&mut self, expected: &'static str) -> Result<(), ParseWorkloadError> {
        match self.rest.next() {
            None => Ok(()),
            Some(token) => Err(ParseWorkloadError::Unexpected { token: quote(token), expected }),
        }
    }
}

/// The token, cut where it is long.
fn quote(token: &str) -> String {
    match token.char_indices().nth(MAX_QUOTED) {
        None => token.to_owned(),
        Some((end, _)) => format!("{}…", &token[..end]),
    }
}
