//! The settings of a sampler.

use serde::{Deserialize, Serialize};

use super::KeyError;

/// More steps than any sampler has use for.
const MOST_STEPS: usize = 100_000;

/// The equation that is integrated, and its order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SamplerMethod {
    /// The ODE, first order.
    #[default]
    Euler,
    /// The ODE, second order: two evaluations a step, one in the last.
    Heun,
    /// The SDE with diffusion 2t, first order; its last step takes the mean.
    Sde,
}

/// Settings for drawing samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerConfig {
    /// Equation and order.
    pub method: SamplerMethod,
    /// Steps from noise to data.
    pub steps: usize,
    /// Scale w of classifier-free guidance, `u + w (c - u)`; 1 means none.
    pub cfg_scale: f64,
    /// Guidance is on from this time, inclusive.
    pub guidance_low: f64,
    /// Guidance is on up to this time, inclusive.
    pub guidance_high: f64,
}

impl Default for SamplerConfig {
    /// Euler, 50 steps, no guidance.
    fn default() -> Self {
        Self {
            method: SamplerMethod::Euler,
            steps: 50,
            cfg_scale: 1.0,
            guidance_low: 0.0,
            guidance_high: 1.0,
        }
    }
}

impl SamplerConfig {
    /// Refuses settings that no sampler can follow. The message names the key and what would be right.
    pub fn validate(&self) -> Result<(), KeyError> {
        let least = match self.method {
            SamplerMethod::Sde => 2,
            SamplerMethod::Euler | SamplerMethod::Heun => 1,
        };
        if self.steps < least {
            return Err(KeyError(format!(
                "steps {} is too few for this method: it needs at least {least}",
                self.steps
            )));
        }
        if self.steps > MOST_STEPS {
            return Err(KeyError(format!(
                "steps {} is too many: it must be at most {MOST_STEPS}",
                self.steps
            )));
        }
        if !(1.0..=1e3).contains(&self.cfg_scale) {
            return Err(KeyError(format!(
                "cfg_scale {:?} is not a guidance scale: it must be a number from 1 (no guidance) to 1000",
                self.cfg_scale
            )));
        }
        for (key, value) in [
            ("guidance_low", self.guidance_low),
            ("guidance_high", self.guidance_high),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(KeyError(format!("{key} {value} is not a time: it must be in [0, 1]")));
            }
        }
        if self.guidance_low > self.guidance_high {
            return Err(KeyError(format!(
                "guidance_low {} lies above guidance_high {}: exchange them",
                self.guidance_low, self.guidance_high
            )));
        }
        Ok(())
    }

    /// True if guidance is on at `t`; both ends belong to the interval.
    pub fn guides(&self, t: f64) -> bool {
        self.cfg_scale > 1.0 && self.guidance_low <= t && t <= self.guidance_high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_name_the_key_at_fault() {
        type Fault = fn(&mut SamplerConfig);
        let cases: [(&str, Fault); 9] = [
            ("steps", |c| c.steps = 0),
            ("steps", |c| c.steps = usize::MAX),
            ("cfg_scale", |c| c.cfg_scale = 1e300),
            ("steps", |c| (c.method, c.steps) = (SamplerMethod::Sde, 1)),
            ("cfg_scale", |c| c.cfg_scale = 0.5),
            ("cfg_scale", |c| c.cfg_scale = f64::INFINITY),
            ("guidance_low", |c| c.guidance_low = -0.1),
            ("guidance_high", |c| c.guidance_high = f64::NAN),
            ("guidance_low", |c| (c.guidance_low, c.guidance_high) = (0.7, 0.2)),
        ];
        for (key, break_it) in cases {
            let mut config = SamplerConfig::default();
            break_it(&mut config);
            let error = config.validate().unwrap_err().0;
            assert!(error.starts_with(key), "{key}: {error}");
        }
        SamplerConfig::default().validate().unwrap();
    }

    #[test]
    fn should_fill_in_what_a_recipe_leaves_out() {
        let config: SamplerConfig = toml::from_str("method = \"sde\"\nsteps = 250\n").unwrap();
        assert_eq!((config.method, config.steps), (SamplerMethod::Sde, 250));
        assert_eq!(config.cfg_scale, 1.0);
        assert!(toml::from_str::<SamplerConfig>("scale = 2\n").is_err());
    }

    #[test]
    fn should_count_both_ends_of_the_interval() {
        let config = SamplerConfig {
            cfg_scale: 2.0,
            guidance_low: 0.25,
            guidance_high: 0.75,
            ..Default::default()
        };
        assert!(config.guides(0.25) && config.guides(0.75));
        assert!(!config.guides(0.2499) && !config.guides(0.7501));
    }
}
