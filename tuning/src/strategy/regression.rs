//! Ridge regression on sparse yes-or-no features, with the uncertainty of each prediction.
//!
//! With features `x` and observed values `y`, the weights are `A^-1 b`, where
//! `A = ridge * I + sum of x x'` and `b = sum of x y`; a prediction's variance is in proportion to
//! `x' A^-1 x`. `A^-1` is kept and updated by one observation at a time (Sherman and Morrison),
//! which costs the square of the number of features and needs no solver.

/// The observations so far, in their inverse.
#[derive(Clone, Debug)]
pub(super) struct Regression {
    size: usize,
    inverse: Vec<f64>,
    sums: Vec<f64>,
    weights: Vec<f64>,
}

impl Regression {
    /// No observations: all weights are zero. `ridge` is how many observations the zero counts for.
    pub(super) fn new(size: usize, ridge: f64) -> Self {
        let mut inverse = vec![0.0; size * size];
        for diagonal in 0..size {
            inverse[diagonal * size + diagonal] = 1.0 / ridge;
        }
        Self { size, inverse, sums: vec![0.0; size], weights: vec![0.0; size] }
    }

    /// Number of features.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Takes note of a value at a point with these features.
    pub(super) fn observe(&mut self, features: &[usize], value: f64) {
        let size = self.size;
        let direction: Vec<f64> = (0..size)
            .map(|row| features.iter().map(|&feature| self.inverse[row * size + feature]).sum())
            .collect();
        let scale = 1.0 + features.iter().map(|&feature| direction[feature]).sum::<f64>();
        for row in 0..size {
            let factor = direction[row] / scale;
            if factor != 0.0 {
                let line = &mut self.inverse[row * size..(row + 1) * size];
                for (element, other) in line.iter_mut().zip(&direction) {
                    *element -= factor * other;
                }
            }
        }
        for &feature in features {
            self.sums[feature] += value;
        }
        self.weights = (0..size)
            .map(|row| {
                let line = &self.inverse[row * size..(row + 1) * size];
                line.iter().zip(&self.sums).map(|(element, sum)| element * sum).sum()
            })
            .collect();
    }

    /// The value to expect.
    pub(super) fn predict(&self, features: &[usize]) -> f64 {
        features.iter().map(|&feature| self.weights[feature]).sum()
    }

    /// The effect of a feature.
    pub(super) fn weight(&self, feature: usize) -> f64 {
        self.weights[feature]
    }

    /// Variance of that expectation, in units of the variance of an observation.
    pub(super) fn variance(&self, features: &[usize]) -> f64 {
        let mut variance = 0.0;
        for (place, &row) in features.iter().enumerate() {
            let line = &self.inverse[row * self.size..(row + 1) * self.size];
            // The inverse is symmetric.
            let others: f64 = features[..place].iter().map(|&col| line[col]).sum();
            variance += line[row] + 2.0 * others;
        }
        variance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additive_effects_are_found() {
        let effects = [0.3, -0.1, 0.0, 0.25];
        let mut regression = Regression::new(4, 1e-3);
        let points = [[0, 2], [0, 3], [1, 2], [1, 3]];
        let value = |point: &[usize]| point.iter().map(|&feature| effects[feature]).sum::<f64>();
        for point in &points[..3] {
            regression.observe(point, value(point));
        }
        // The fourth follows from the other three.
        assert!((regression.predict(&points[3]) - value(&points[3])).abs() < 2e-3);
    }

    #[test]
    fn what_was_seen_is_less_uncertain() {
        let mut regression = Regression::new(3, 1.0);
        let before = regression.variance(&[0, 1]);
        for _ in 0..10 {
            regression.observe(&[0, 1], 0.5);
        }
        assert!(regression.variance(&[0, 1]) < before / 10.0);
        assert!(regression.variance(&[0, 2]) > regression.variance(&[0, 1]));
        assert!(regression.variance(&[2]) == 1.0);
    }
}
