//! Runs with every buffer between unmapped pages, scratch and weights included: one access outside
//! ends the test process.

use rand::SeedableRng;
use rand::rngs::StdRng;
use region::{Allocation, Protection};

use super::{Arguments, Kernel};
use crate::testing::{self, Limits, Tensors};
use crate::{Isa, Target};

/// Random cases of the test.
const CASES: u64 = 300;

/// Elements that touch an unmapped page with their end, or with their start.
struct Guarded {
    pages: Allocation,
    offset: usize,
    len: usize,
}

impl Guarded {
    fn new(len: usize, at_end: bool) -> Self {
        let page = region::page::size();
        let bytes = len * size_of::<f32>();
        let inner = bytes.next_multiple_of(page);
        let mut pages =
            region::alloc(inner + 2 * page, Protection::READ_WRITE).expect("pages can be mapped");
        let base: *mut u8 = pages.as_mut_ptr();
        for guard in [base, base.wrapping_add(page + inner)] {
            // SAFETY: both guards are whole pages of the allocation that hold no object.
            unsafe { region::protect(guard, page, Protection::NONE) }
                .expect("pages can be protected");
        }
        let offset = page + if at_end { inner - bytes } else { 0 };
        Self { pages, offset, len }
    }

    fn filled(values: &[f32], at_end: bool) -> Self {
        let mut guarded = Self::new(values.len(), at_end);
        guarded.elements().copy_from_slice(values);
        guarded
    }

    fn elements(&mut self) -> &mut [f32] {
        let start = self.pages.as_mut_ptr::<u8>().wrapping_add(self.offset).cast::<f32>();
        // SAFETY: `offset` is a multiple of four bytes into zeroed pages that stay writable, with
        // `len` elements before the guard; they are borrowed with `self`.
        unsafe { std::slice::from_raw_parts_mut(start, self.len) }
    }

    fn as_mut_ptr(&mut self) -> *mut f32 {
        self.elements().as_mut_ptr()
    }
}

#[test]
fn generated_code_stays_inside_every_buffer() {
    let targets = Isa::usable().into_iter().map(Target::of);
    for (seed, target) in targets.flat_map(|target| (0..CASES).map(move |seed| (seed, target))) {
        let mut rng = StdRng::seed_from_u64(seed);
        let workload = testing::random_workload(&mut rng, &Limits::default());
        let mut checked = testing::random_schedule(&mut rng, &workload, &target);
        // Half of the cases are those that stay inside by their masks.
        if seed % 2 == 1 {
            checked = testing::with_masked_tails(&checked);
        }
        let line = format!("seed {seed}: {workload} | {} | {}", checked.schedule(), target.isa);
        println!("{line}");
        let tensors = Tensors::ordinary(&workload, seed);
        let (input, residual) = (&tensors.input, tensors.residual());
        let expected = testing::reference(&workload, &tensors);
        let kernel = Kernel::compile(&checked).expect("checked schedules compile");
        let packed = kernel.pack(&tensors.weights()).expect("tensors fit");
        let plan = &kernel.compiled.plan;
        for at_end in [true, false] {
            let mut input = Guarded::filled(input, at_end);
            let mut weights = Guarded::filled(&packed.elements[..plan.weights_len], at_end);
            let mut residual = Guarded::filled(residual.unwrap_or_default(), at_end);
            let mut output = Guarded::new(workload.output_len(), at_end);
            let mut private = Guarded::new(plan.private_len, at_end);
            let mut shared = Guarded::new(plan.shared_len, at_end);
            let arguments = Arguments {
                input: input.as_mut_ptr(),
                weights: weights.as_mut_ptr(),
                residual: residual.as_mut_ptr(),
                output: output.as_mut_ptr(),
                private: private.as_mut_ptr(),
                shared: shared.as_mut_ptr(),
                first_image: 0,
                first_task: 0,
                tasks: 0,
            };
            for (index, phase) in plan.phases.iter().enumerate() {
                kernel.compiled.call(index, arguments, 0, plan.batch * phase.count);
            }
            if target.isa.has_fma() {
                testing::assert_same(&expected, output.elements(), &line);
            }
        }
    }
}
