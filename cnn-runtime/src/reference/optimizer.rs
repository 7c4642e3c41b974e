/// `RMSprop` as Keras does it, with epsilon inside the root.
#[derive(Debug, Clone, Copy)]
pub struct RmsProp {
    /// Factor of each step.
    pub learning_rate: f64,
    /// How much of the running mean stays.
    pub rho: f64,
    /// What keeps the root from 0.
    pub epsilon: f64,
}

impl RmsProp {
    /// v = rho v + (1 - rho) g², then w = w - rate · g / √(v + epsilon).
    pub fn step(&self, weights: &mut [f64], velocity: &mut [f64], gradient: &[f64]) {
        for ((w, v), g) in weights.iter_mut().zip(velocity).zip(gradient) {
            *v = self.rho * *v + (1.0 - self.rho) * g * g;
            *w -= self.learning_rate * g / (*v + self.epsilon).sqrt();
        }
    }
}
