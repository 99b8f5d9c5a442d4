//! Values of flags: shapes, pairs and paddings, each with a message that shows the right form.

use std::str::FromStr;

use dsconv::{Depthwise, Padding};

/// Batch, channels, rows and columns: `1x32x112x112`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape(pub(crate) [usize; 4]);

/// A value per axis, rows first: `5`, or `2x1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair(pub(crate) [u32; 2]);

/// `same`, `valid`, `1`, `1x2` or `top/left/bottom/right`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PaddingRule {
    /// As TensorFlow pads: the output has `ceil(extent / stride)` pixels, an odd pixel goes to the
    /// bottom or right.
    Same,
    /// Given side by side.
    Sides(Padding),
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let extents: Vec<usize> = text
            .split('x')
            .map(|extent| extent.trim().parse().map_err(|_| wrong_shape(text, &not_a_size(extent))))
            .collect::<Result<_, _>>()?;
        let hint = match *extents.as_slice() {
            [batch, channels, rows, cols] => return Ok(Self([batch, channels, rows, cols])),
            [channels, rows, cols] => format!("; for one image write 1x{channels}x{rows}x{cols}"),
            [channels, cols] => format!("; for one dimension write 1x{channels}x1x{cols}"),
            _ => String::new(),
        };
        Err(wrong_shape(text, &format!("{} numbers{hint}", extents.len())))
    }
}

fn wrong_shape(text: &str, found: &str) -> String {
    format!(
        "a shape is four numbers, batch x channels x rows x columns, such as 1x32x112x112; \
         '{text}' has {found}"
    )
}

fn not_a_size(text: &str) -> String {
    format!("'{text}', which is not a size")
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let axis = |text: &str| text.trim().parse::<u32>().ok();
        match text.split_once('x') {
            None => axis(text).map(|both| [both, both]),
            Some((rows, cols)) => axis(rows).zip(axis(cols)).map(|(rows, cols)| [rows, cols]),
        }
        .map(Self)
        .ok_or_else(|| format!("'{text}' is neither a number nor rows x columns, such as 3 or 2x1"))
    }
}

impl FromStr for PaddingRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "same" => return Ok(Self::Same),
            "valid" => return Ok(Self::Sides(Padding::default())),
            _ => {}
        }
        let sides: Vec<&str> = text.split('/').map(str::trim).collect();
        let padding = match *sides.as_slice() {
            [top, left, bottom, right] => {
                four_sides(top, left, bottom, right).map_err(|why| format!("'{text}': {why}"))?
            }
            [both] => {
                let Pair([rows, cols]) = both.parse().map_err(|_| wrong_padding(text))?;
                Padding {
                    top: rows,
                    left: cols,
                    bottom: signed(rows).ok_or_else(|| wrong_padding(text))?,
                    right: signed(cols).ok_or_else(|| wrong_padding(text))?,
                }
            }
            _ => return Err(wrong_padding(text)),
        };
        Ok(Self::Sides(padding))
    }
}

fn wrong_padding(text: &str) -> String {
    format!(
        "'{text}' is none of: same, valid, one number such as 1, rows x columns such as 1x2, \
         top/left/bottom/right such as 0/0/1/1"
    )
}

fn four_sides(top: &str, left: &str, bottom: &str, right: &str) -> Result<Padding, String> {
    let before = |name: &str, text: &str| {
        text.parse::<u32>().map_err(|_| {
            format!("{name} '{text}' is not 0 or more; only bottom and right may be negative")
        })
    };
    let after = |name: &str, text: &str| {
        text.parse::<i32>().map_err(|_| format!("{name} '{text}' is not a whole number"))
    };
    Ok(Padding {
        top: before("top", top)?,
        left: before("left", left)?,
        bottom: after("bottom", bottom)?,
        right: after("right", right)?,
    })
}

fn signed(pixels: u32) -> Option<i32> {
    i32::try_from(pixels).ok()
}

impl PaddingRule {
    /// The padding of a stage over an input of `extent` rows and columns.
    pub(crate) fn sides(self, extent: [usize; 2], stage: &Depthwise) -> Padding {
        match self {
            Self::Sides(padding) => padding,
            Self::Same => {
                Padding::tensorflow_same(extent, stage.kernel, stage.stride, stage.dilation)
            }
        }
    }
}

/// The padding that keeps the extent at stride 1, for odd kernels: 1 for 3x3. Of a kernel that
/// makes no workload, some padding: the workload's own rules name the fault.
pub(crate) fn centred(kernel: [u32; 2], dilation: [u32; 2]) -> Padding {
    let [rows, cols] = [0, 1].map(|axis| {
        let reach = u64::from(kernel[axis].saturating_sub(1)) * u64::from(dilation[axis]);
        i32::try_from(reach / 2).unwrap_or(i32::MAX)
    });
    Padding { top: rows.unsigned_abs(), left: cols.unsigned_abs(), bottom: rows, right: cols }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_of_three_numbers_is_told_the_form_for_one_image() {
        let message = "32x112x112".parse::<Shape>().unwrap_err();
        assert!(message.contains("1x32x112x112"), "{message}");
        let message = "32x100".parse::<Shape>().unwrap_err();
        assert!(message.contains("1x32x1x100"), "{message}");
    }

    #[test]
    fn same_padding_is_tensorflows() {
        // 224 rows, kernel 3, stride 2: 112 outputs reach 225 rows, so one row below and none above.
        let stage = Depthwise::kernel(3, 3).stride(2);
        let sides = PaddingRule::Same.sides([224, 224], &stage);
        assert_eq!(sides, Padding { top: 0, left: 0, bottom: 1, right: 1 });
        // An odd extent needs one pixel on each side.
        let sides = PaddingRule::Same.sides([113, 224], &stage);
        assert_eq!(sides, Padding { top: 1, left: 0, bottom: 1, right: 1 });
        // An even kernel puts its odd pixel at the bottom and right.
        let sides = PaddingRule::Same.sides([8, 8], &Depthwise::kernel(2, 4));
        assert_eq!(sides, Padding { top: 0, left: 1, bottom: 1, right: 2 });
    }

    #[test]
    fn the_default_padding_keeps_the_extent_of_odd_kernels() {
        assert_eq!(centred([3, 3], [1, 1]), Padding::same(1));
        assert_eq!(centred([5, 5], [2, 2]), Padding::same(4));
        let sides = Padding { top: 0, left: 3, bottom: 0, right: 3 };
        assert_eq!(centred([1, 7], [1, 1]), sides);
        assert_eq!(centred([u32::MAX; 2], [u32::MAX; 2]), Padding::same(i32::MAX.unsigned_abs()));
        assert_eq!(centred([0, 0], [0, 0]), Padding::default());
    }

    #[test]
    fn paddings_of_every_form_parse() {
        let sides =
            |top, left, bottom, right| Ok(PaddingRule::Sides(Padding { top, left, bottom, right }));
        assert_eq!("valid".parse(), sides(0, 0, 0, 0));
        assert_eq!("2".parse(), sides(2, 2, 2, 2));
        assert_eq!("1x2".parse(), sides(1, 2, 1, 2));
        assert_eq!("0/1/-1/-2".parse(), sides(0, 1, -1, -2));
        assert_eq!("same".parse(), Ok(PaddingRule::Same));
        let message = "-1/0/0/0".parse::<PaddingRule>().unwrap_err();
        assert!(message.contains("only bottom and right may be negative"), "{message}");
        for wrong in ["1/2", "-1", "x", "4294967295", "1/2/3/4/5", ""] {
            assert!(wrong.parse::<PaddingRule>().is_err(), "{wrong}");
        }
    }
}
