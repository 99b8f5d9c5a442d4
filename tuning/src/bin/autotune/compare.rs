//! Whether two measurements differ, and how sure that is.

use std::f64::consts::SQRT_2;

use dsconv::Measurement;
use serde::Serialize;

/// The standard deviation of normal noise, in median absolute deviations.
const DEVIATION_PER_SPREAD: f64 = 1.4826;
/// The standard error of a median of normal noise, in that of a mean.
const MEDIAN_PER_MEAN: f64 = 1.2533;
/// How sure a difference must be.
const SURE_PERCENT: f64 = 99.0;

/// One median against another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Change {
    /// How much longer the second one takes.
    pub(crate) percent: f64,
    /// How sure it is that the medians differ at all, from spread and number of samples; `None`
    /// where the file does not tell them.
    pub(crate) confidence_percent: Option<f64>,
}

/// What a change comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Faster,
    Slower,
    Alike,
}

impl Change {
    pub(crate) fn between(before: &Measurement, after: &Measurement) -> Self {
        let difference = after.median_us - before.median_us;
        let percent = 100.0 * difference / before.median_us.max(f64::MIN_POSITIVE);
        let error = standard_error(before).zip(standard_error(after));
        let confidence_percent = error.map(|(one, other)| match one.hypot(other) {
            _ if difference == 0.0 => 0.0,
            0.0 => 100.0,
            error => 100.0 * libm::erf(difference.abs() / error / SQRT_2),
        });
        Self { percent, confidence_percent }
    }

    /// Differences of up to a tolerance are between any two runs, however sure each run's median is.
    pub(crate) fn verdict(&self, tolerance_percent: f64) -> Verdict {
        let is_sure = self.confidence_percent.is_none_or(|percent| percent >= SURE_PERCENT);
        if !is_sure || self.percent.abs() <= tolerance_percent {
            Verdict::Alike
        } else if self.percent > 0.0 {
            Verdict::Slower
        } else {
            Verdict::Faster
        }
    }
}

/// Standard error of a median; `None` without samples.
fn standard_error(measurement: &Measurement) -> Option<f64> {
    let samples = f64::from(measurement.samples);
    let error = MEDIAN_PER_MEAN * DEVIATION_PER_SPREAD * measurement.spread_us / samples.sqrt();
    (measurement.samples > 0).then_some(error)
}

/// A tolerance on the command line.
pub(crate) fn parse_percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').trim().parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent),
        _ => Err("expected per cent of at least 0, such as 5".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(median_us: f64, spread_us: f64, samples: u32) -> Measurement {
        Measurement { median_us, min_us: median_us, spread_us, samples }
    }

    #[test]
    fn confidence_grows_with_the_difference_and_the_samples_and_falls_with_the_spread() {
        let confidence = |other_us, spread_us, samples| {
            let change =
                Change::between(&of(100.0, spread_us, samples), &of(other_us, spread_us, samples));
            change.confidence_percent.expect("there are samples")
        };
        assert!(confidence(101.0, 1.0, 31) > confidence(100.5, 1.0, 31));
        assert!(confidence(101.0, 1.0, 31) > confidence(101.0, 1.0, 5));
        assert!(confidence(101.0, 1.0, 31) > confidence(101.0, 3.0, 31));
        assert_eq!(confidence(100.0, 1.0, 31), 0.0);
        assert_eq!(confidence(101.0, 0.0, 31), 100.0);
        // One standard error of the difference: 68.3 % of normal noise lies within.
        let error = 1.2533 * 1.4826 / 31_f64.sqrt() * SQRT_2;
        assert!((confidence(100.0 + error, 1.0, 31) - 68.27).abs() < 0.01);
    }

    #[test]
    fn a_verdict_wants_more_than_the_tolerance_and_certainty() {
        let verdict =
            |after: Measurement| Change::between(&of(100.0, 0.5, 31), &after).verdict(2.0);
        assert_eq!(verdict(of(110.0, 0.5, 31)), Verdict::Slower);
        assert_eq!(verdict(of(90.0, 0.5, 31)), Verdict::Faster);
        assert_eq!(verdict(of(101.9, 0.5, 31)), Verdict::Alike);
        assert_eq!(verdict(of(110.0, 40.0, 3)), Verdict::Alike);
        assert_eq!(verdict(of(110.0, 0.5, 0)), Verdict::Slower);
    }

    #[test]
    fn times_of_zero_give_numbers() {
        let change = Change::between(&of(0.0, 0.0, 1), &of(0.0, 0.0, 1));
        assert_eq!((change.percent, change.confidence_percent), (0.0, Some(0.0)));
    }

    #[test]
    fn tolerances_are_percentages() {
        assert_eq!(parse_percent("5"), Ok(5.0));
        assert_eq!(parse_percent("2.5%"), Ok(2.5));
        for nonsense in ["-1", "five", "nan", "inf", ""] {
            assert!(parse_percent(nonsense).is_err(), "{nonsense}");
        }
    }
}
