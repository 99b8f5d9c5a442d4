//! Problem descriptors of oneDNN's benchdnn: `mb1g32ic32ih112oc32oh112kh3ph1n"name"`.
//!
//! Letters name the number that follows them: images `mb`, groups `g`, channels `ic` and `oc`, and
//! by rows (`h`) and columns (`w`, equal to rows where left out) input `i`, output `o`, kernel `k`,
//! stride `s`, padding before `p`, and pixels between two taps `d`. The padding behind follows from
//! the output. Layout and epilogue are no part of a descriptor: NCHW with a bias is taken.

use dsconv_kernels::{Depthwise, Padding, Pointwise, Workload};

/// Whether a line looks like a descriptor: it is one word, and it has input channels.
pub(super) fn is_descriptor(text: &str) -> bool {
    let head = text.split(['n', '"']).next().unwrap_or("");
    text.starts_with(|letter: char| letter.is_ascii_lowercase())
        && !head.contains(char::is_whitespace)
        && head.contains("ic")
}

pub(super) fn parse(text: &str) -> Result<Workload, String> {
    let numbers = numbers(text)?;
    let find =
        |name: &str| numbers.iter().find(|(found, _)| *found == name).map(|(_, number)| *number);
    let known = [
        "mb", "g", "ic", "oc", "ih", "iw", "oh", "ow", "kh", "kw", "sh", "sw", "ph", "pw", "dh",
        "dw",
    ];
    for (name, _) in &numbers {
        if ["id", "od", "kd", "sd", "pd", "dd"].contains(name) {
            return Err(format!("`{name}`: convolutions over three dimensions are out of scope"));
        }
        if !known.contains(name) {
            return Err(format!("`{name}` in a descriptor: {} are known", known.join(" ")));
        }
    }
    let need = |name: &str| find(name).ok_or_else(|| format!("`{name}` is missing: `{text}`"));
    let both = |rows: Option<u32>, cols: &str| {
        let rows = rows.unwrap_or(1);
        [rows, find(cols).unwrap_or(rows)]
    };
    let (inputs, outputs) = (need("ic")?, need("oc")?);
    let groups = find("g").unwrap_or(1);
    // One dimension has columns only.
    let input = if find("ih").is_none() && find("iw").is_some() {
        [1, need("iw")?]
    } else {
        both(Some(need("ih")?), "iw")
    };
    let is_line = find("ih").is_none();
    let or_one = |rows: &str, cols: &str, default: u32| {
        if is_line {
            [1, find(cols).unwrap_or(default)]
        } else {
            both(Some(find(rows).unwrap_or(default)), cols)
        }
    };
    let kernel = or_one("kh", "kw", 1);
    let stride = or_one("sh", "sw", 1);
    let before = match or_one("ph", "pw", 0) {
        [_, cols] if is_line => [0, cols],
        both => both,
    };
    let between = match or_one("dh", "dw", 0) {
        [_, cols] if is_line => [0, cols],
        both => both,
    };
    let dilation = between.map(|pixels| pixels.saturating_add(1));
    let output = if is_line { [1, need("ow")?] } else { both(Some(need("oh")?), "ow") };
    let after = [0, 1].map(|axis| {
        let wide = |value: u32| i64::from(value);
        let read = (wide(output[axis]) - 1) * wide(stride[axis])
            + (wide(kernel[axis]) - 1) * wide(dilation[axis])
            + 1;
        i32::try_from(read - wide(input[axis]) - wide(before[axis])).unwrap_or(i32::MAX)
    });
    let shape = [find("mb").unwrap_or(1), inputs, input[0], input[1]].map(|extent| extent as usize);
    let parts = Workload::builder(shape);
    let padding = Padding { top: before[0], left: before[1], bottom: after[0], right: after[1] };
    let parts = if groups > 1 || kernel != [1, 1] {
        if groups != inputs || !outputs.is_multiple_of(groups.max(1)) {
            return Err(format!(
                "neither depthwise nor pointwise: {groups} groups of {inputs} input channels; \
                 write g{inputs} for depthwise, or a kernel of 1 for pointwise"
            ));
        }
        let stage = Depthwise::kernel(kernel[0], kernel[1]).multiplier(outputs / groups).bias(true);
        parts.depthwise(Depthwise { stride, dilation, padding, ..stage })
    } else if before == [0, 0] {
        let stage = Pointwise { stride, ..Pointwise::channels(outputs).bias(true) };
        parts.pointwise(stage)
    } else {
        // A pointwise stage has no padding: a depthwise stage of one tap has it.
        let stage = Depthwise { stride, padding, ..Depthwise::kernel(1, 1).bias(false) };
        parts.depthwise(stage).pointwise(Pointwise::channels(outputs).bias(true))
    };
    parts.build().map_err(|error| format!("no workload: {error}"))
}

/// The names and numbers of a descriptor, up to its own name.
fn numbers(text: &str) -> Result<Vec<(&str, u32)>, String> {
    let mut numbers = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && !rest.starts_with("n\"") {
        rest = rest.trim_start_matches('_');
        let digits = rest.find(|letter: char| letter.is_ascii_digit());
        let digits = digits.filter(|digits| *digits > 0).ok_or_else(|| {
            format!("`{rest}` in a descriptor: expected letters and then a number")
        })?;
        let end = rest[digits..].find(|letter: char| !letter.is_ascii_digit());
        let end = end.map_or(rest.len(), |end| digits + end);
        let number = rest[digits..end]
            .parse()
            .map_err(|_| format!("`{}` is too large a number", &rest[digits..end]))?;
        numbers.push((&rest[..digits], number));
        rest = &rest[end..];
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_reads(descriptor: &str, workload: &str) {
        assert!(is_descriptor(descriptor), "{descriptor}");
        assert_eq!(parse(descriptor).map(|it| it.to_string()), Ok(workload.to_owned()));
    }

    #[test]
    fn depthwise_descriptors_are_depthwise_stages() {
        assert_reads("g32ic32ih112oc32oh112kh3ph1", "f32 nchw 1x32x112x112 dw:3x3,p1,bias");
        assert_reads(
            "mb2_g64ic64ih56iw28oc128oh28ow14kh5kw3sh2ph2pw1n\"a name 3\"",
            "f32 nchw 2x64x56x28 dw:5x3,s2,p2/1/1/0,m2,bias",
        );
        assert_reads("g8ic8ih16oc8oh16kh3ph2dh1", "f32 nchw 1x8x16x16 dw:3x3,d2,p2,bias");
    }

    #[test]
    fn kernels_of_one_are_pointwise_stages() {
        assert_reads("ic64ih56oc256oh56", "f32 nchw 1x64x56x56 pw:256,bias");
        assert_reads("ic64ih56oc256oh28kh1sh2", "f32 nchw 1x64x56x56 pw:256,s2,bias");
    }

    #[test]
    fn lines_have_columns_only() {
        assert_reads("g8ic8iw50oc8ow50kw9pw4", "f32 nchw 1x8x1x50 dw:1x9,p0/4/0/4,bias");
    }

    #[test]
    fn what_is_no_block_is_refused() {
        let refused = |text: &str| parse(text).expect_err(text);
        assert!(refused("ic64ih56oc64oh56kh3ph1").contains("neither depthwise nor pointwise"));
        assert!(refused("g8ic8id4ih4oc8od4oh4kd3kh3").contains("three dimensions"));
        assert!(refused("g8ic8oc8kh3").contains("`ih` is missing"));
        assert!(refused("g8ic8ih99999999999").contains("too large"));
        assert!(refused("g8ic8ih4oc8oh4zz3").contains("`zz`"));
    }
}
