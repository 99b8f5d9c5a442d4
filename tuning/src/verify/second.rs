//! The second look at what is to be stored: other data, other places in memory, guards on all sides.
//!
//! The first look happens before a candidate is timed, on the data that all candidates share. A
//! schedule that ends in a database is worth more: it is run on numbers of another seed, which
//! round, and on integers, whose sums are exact; in scratch memory that its samples left behind; on
//! buffers that start with a cache line and on ones that do not; and neither output nor residual nor
//! input may change where nothing is to be written.

use dsconv_kernels::{Isa, Workload};

use super::{Guarded, Mismatch, Oracle};
use crate::data::Tensors;

/// Elements by which input, residual and output start after a cache line: all differently.
const PLACES: [(&str, [usize; 3]); 2] = [("", [0; 3]), (", unaligned", [1, 5, 3])];

/// One set of data, with the reference's output.
#[derive(Debug)]
pub(crate) struct SecondLook {
    name: String,
    tensors: Tensors,
    oracle: Oracle,
}

/// Slices for a run: input, residual, output.
pub(crate) type Slices<'a> = (&'a [f32], Option<&'a [f32]>, &'a mut [f32]);

impl SecondLook {
    /// Data other than that of the first look, whose seed is given.
    pub(crate) fn set(workload: &Workload, isa: Isa, seed: u64) -> Vec<Self> {
        let look = |name: &str, seed: u64, tensors: fn(&Workload, u64) -> Tensors| {
            let tensors = tensors(workload, seed);
            let oracle = Oracle::new(workload, &tensors, isa);
            Self { name: format!("{name} of seed {seed}"), tensors, oracle }
        };
        vec![
            look("ordinary numbers", seed.wrapping_add(1), Tensors::ordinary),
            look("integers", seed.wrapping_add(2), Tensors::integers),
        ]
    }

    /// The tensors, whose weights a kernel is to be given.
    pub(crate) fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// Lets a kernel run in each of the places.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the first run that is.
    pub(crate) fn examine(
        &self,
        mut run: impl FnMut(Slices<'_>) -> Result<(), String>,
    ) -> Result<(), Mismatch> {
        for (place, [input_at, residual_at, output_at]) in PLACES {
            let (tensors, len) = (&self.tensors, self.oracle.workload.output_len());
            let input = Guarded::holding(&tensors.input, input_at);
            let residual = tensors.residual().map(|it| Guarded::holding(it, residual_at));
            let mut output = Guarded::canaries(len, output_at);
            let residual_slice = residual.as_ref().map(Guarded::as_slice);
            let found = run((input.as_slice(), residual_slice, output.as_mut_slice()))
                .map_err(Mismatch::NotRun)
                .and_then(|()| untouched("input", &input, &tensors.input))
                .and_then(|()| match (&residual, tensors.residual()) {
                    (Some(guarded), Some(tensor)) => untouched("residual", guarded, tensor),
                    _ => Ok(()),
                })
                .and_then(|()| self.oracle.check(&output));
            found.map_err(|found| Mismatch::SecondLook {
                data: format!("{}{place}", self.name),
                found: Box::new(found),
            })?;
        }
        Ok(())
    }
}

fn untouched(name: &str, guarded: &Guarded, tensor: &[f32]) -> Result<(), Mismatch> {
    match guarded.changed(tensor) {
        Some((index, count)) => Err(Mismatch::Touched { tensor: name.to_owned(), index, count }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use dsconv_kernels::reference;

    use super::*;

    fn looks() -> (Workload, Vec<SecondLook>) {
        let workload =
            "f32 nchw 1x3x5x4 dw:3x3,p1,bias pw:7,bias,residual,relu".parse().expect("a workload");
        (workload, SecondLook::set(&workload, Isa::Fma, 4))
    }

    /// What the looks find, given what happens to the reference's output of each run.
    fn found(mut spoil: impl FnMut(usize, &mut [f32])) -> Vec<Option<String>> {
        let (workload, looks) = looks();
        let mut runs = 0;
        looks
            .iter()
            .map(|look| {
                let weights = look.tensors().weights();
                let found = look.examine(|(input, residual, output)| {
                    reference::run(&workload, &weights, input, residual, output)
                        .map_err(|error| error.to_string())?;
                    spoil(runs, output);
                    runs += 1;
                    Ok(())
                });
                found.err().map(|mismatch| mismatch.to_string())
            })
            .collect()
    }

    #[test]
    fn the_reference_passes_on_data_of_its_own() {
        assert_eq!(found(|_, _| {}), [None, None]);
        let (workload, looks) = looks();
        let first = Tensors::ordinary(&workload, 4);
        assert!(looks.iter().all(|look| look.tensors().input != first.input));
        assert!(looks[1].tensors().input.iter().all(|number| number.fract() == 0.0));
    }

    #[test]
    fn what_is_wrong_in_one_place_only_is_found_and_the_place_named() {
        for (at, place) in [
            (0, "on ordinary numbers of seed 5: "),
            (1, "on ordinary numbers of seed 5, unaligned: "),
            (2, "on integers of seed 6: "),
            (3, "on integers of seed 6, unaligned: "),
        ] {
            let found = found(|run, output| {
                if run == at {
                    output[3] = f32::MAX;
                }
            });
            let messages: Vec<String> = found.into_iter().flatten().collect();
            assert_eq!(messages.len(), 1, "{messages:?}");
            assert!(messages[0].contains(place), "{messages:?}");
            assert!(messages[0].contains("1 elements differ, the first at 3"), "{messages:?}");
        }
    }

    #[test]
    fn an_input_that_was_written_is_named() {
        let mut guarded = Guarded::holding(&[1.0, 2.0], 1);
        *guarded.at(2) = 0.0;
        let touched = untouched("residual", &guarded, &[1.0, 2.0]).expect_err("beside it");
        let expected = "1 elements of the residual or beside it were written, the first at 2";
        assert_eq!(touched.to_string(), expected);
    }
}
