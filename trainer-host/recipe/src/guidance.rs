//! A source as a recipe writes it, and when and how strongly it guides.

use serde::{Deserialize, Serialize};

use super::KeyError;

/// A value of a source's settings that no run can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("source \"{source_name}\": {key} {reason}")]
pub struct SettingError {
    /// The instance's name, or the plugin where it has none.
    pub source_name: String,
    /// The key at fault.
    pub key: &'static str,
    /// The value, and what would be right.
    pub reason: String,
}

/// One guidance source of a phase. Schedules are the host's, so these keys are the same for every source; what is the
/// source's own stands under `config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Name of the plugin, searched as a shared library, or the path of one.
    pub plugin: String,
    /// Name of this instance in logs, checkpoints and random streams; by default the plugin's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Weight on the batch mean of the loss; at 0 the source is not called. If left out, the one that the source states,
    /// else a half; once the source is loaded it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coefficient: Option<f64>,
    /// First optimiser step that is guided, counted from 0.
    #[serde(default)]
    pub start_step: u64,
    /// First step that is not guided any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_step: Option<u64>,
    /// Steps over which the coefficient rises from `coefficient / warmup_steps` at `start_step` in equal parts.
    #[serde(default)]
    pub warmup_steps: u64,
    /// Step from which the coefficient decays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay_start: Option<u64>,
    /// Steps in which it falls to a tenth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay_steps: Option<f64>,
    /// SHA-256 that the library's file must have, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The source's own settings, handed over as JSON.
    #[serde(default)]
    pub config: toml::Table,
}

/// The coefficient where neither the recipe nor the source has one.
pub const USUAL_COEFFICIENT: f64 = 0.5;

/// A greater one leaves nothing of the denoising loss in f32.
const LARGEST_COEFFICIENT: f64 = 1e9;

impl SourceConfig {
    /// A source with every other key at its default.
    pub fn new(plugin: impl Into<String>) -> Self {
        Self {
            plugin: plugin.into(),
            name: None,
            coefficient: None,
            start_step: 0,
            stop_step: None,
            warmup_steps: 0,
            decay_start: None,
            decay_steps: None,
            sha256: None,
            config: toml::Table::new(),
        }
    }

    /// Refuses values that no schedule can have; the error names the key.
    pub fn validate(&self) -> Result<(), SettingError> {
        let fault = |key, reason: String| {
            Err(SettingError {
                source_name: self.name.clone().unwrap_or_else(|| self.plugin.clone()),
                key,
                reason,
            })
        };
        if self.plugin.is_empty() {
            return fault("plugin", "is empty: write a name, such as \"repa\", or a path".into());
        }
        if let Some(name) = &self.name
            && let Err(reason) = check_name(name)
        {
            return fault("name", reason.0);
        }
        if let Some(coefficient) = self.coefficient
            && !(0.0..=LARGEST_COEFFICIENT).contains(&coefficient)
        {
            return fault(
                "coefficient",
                format!("is {coefficient:?}: it must be a finite number from 0 to {LARGEST_COEFFICIENT:?}"),
            );
        }
        if let Some(stop) = self.stop_step
            && stop <= self.start_step
        {
            return fault(
                "stop_step",
                format!("is {stop}: it must lie after start_step, which is {}", self.start_step),
            );
        }
        match (self.decay_start, self.decay_steps) {
            (Some(_), None) => {
                return fault(
                    "decay_steps",
                    "is missing: decay_start needs it (steps for a factor of ten)".into(),
                );
            }
            (None, Some(_)) => {
                return fault("decay_start", "is missing: decay_steps needs it".into());
            }
            (_, Some(steps)) if !steps.is_finite() || steps <= 0.0 => {
                return fault("decay_steps", format!("is {steps}: it must be a finite number above 0"));
            }
            _ => {}
        }
        if let Some(hash) = &self.sha256
            && (hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return fault("sha256", format!("is \"{hash}\": it must be 64 hexadecimal digits"));
        }
        if let Some(path) = not_finite("config", &toml::Value::Table(self.config.clone())) {
            return fault("config", format!("holds a number that is not finite, at {path}"));
        }
        Ok(())
    }

    /// The weight on the loss before any schedule: the recipe's, once the source is loaded also the source's own.
    pub fn coefficient(&self) -> f64 {
        self.coefficient.unwrap_or(USUAL_COEFFICIENT)
    }

    /// The weight on the loss at optimiser step `step`: 0 outside `[start_step, stop_step)`.
    pub fn coefficient_at(&self, step: u64) -> f64 {
        if step < self.start_step || self.stop_step.is_some_and(|stop| step >= stop) {
            return 0.0;
        }
        let risen = match self.warmup_steps {
            0 => 1.0,
            steps => ((step - self.start_step + 1) as f64 / steps as f64).min(1.0),
        };
        let decayed = match (self.decay_start, self.decay_steps) {
            (Some(start), Some(steps)) if step > start => 10f64.powf(-((step - start) as f64) / steps),
            _ => 1.0,
        };
        self.coefficient() * risen * decayed
    }

    /// True if the source is called at `step`.
    pub fn active_at(&self, step: u64) -> bool {
        self.coefficient_at(step) != 0.0
    }

    /// True if the source is called at any step from `step` on. If not, what it needs (a teacher) can be let go.
    pub fn active_from(&self, step: u64) -> bool {
        self.coefficient() != 0.0 && self.stop_step.is_none_or(|stop| step < stop)
    }
}

/// An instance's name is a part of parameter paths, so it may hold no dot or slash.
///
/// # Errors
/// The name, and what a name is made of.
pub fn check_name(name: &str) -> Result<(), KeyError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(fits) {
        return Err(KeyError(format!(
            "is \"{name}\": use letters, digits, `-` and `_` only"
        )));
    }
    Ok(())
}

fn not_finite(path: &str, value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::Float(x) if !x.is_finite() => Some(path.to_owned()),
        toml::Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(i, item)| not_finite(&format!("{path}[{i}]"), item)),
        toml::Value::Table(table) => table
            .iter()
            .find_map(|(key, item)| not_finite(&format!("{path}.{key}"), item)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let config: SourceConfig = toml::from_str(text).unwrap();
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn should_guide_with_a_half_from_the_first_step_by_default() {
        let config: SourceConfig = toml::from_str("plugin = \"repa\"").unwrap();
        config.validate().unwrap();
        assert_eq!(config, SourceConfig::new("repa"));
        assert_eq!(config.coefficient_at(0), 0.5);
        assert_eq!(config.coefficient_at(u64::MAX), 0.5);
    }

    #[test]
    fn should_rise_hold_decay_and_stop() {
        let config: SourceConfig = toml::from_str(
            "plugin = \"x\"\ncoefficient = 0.2\nstart_step = 10\nwarmup_steps = 4\ndecay_start = 20\ndecay_steps = 10.0\nstop_step = 40",
        )
        .unwrap();
        config.validate().unwrap();
        assert_eq!(config.coefficient_at(9), 0.0);
        assert!(!config.active_at(9) && config.active_from(9));
        assert!((config.coefficient_at(10) - 0.05).abs() < 1e-12);
        assert!((config.coefficient_at(13) - 0.2).abs() < 1e-12);
        assert!((config.coefficient_at(20) - 0.2).abs() < 1e-12);
        assert!((config.coefficient_at(30) - 0.02).abs() < 1e-12);
        assert!(config.active_at(39));
        assert!(!config.active_at(40) && !config.active_from(40));
    }

    #[test]
    fn should_not_call_a_source_whose_coefficient_is_0() {
        let config: SourceConfig = toml::from_str("plugin = \"x\"\ncoefficient = 0").unwrap();
        assert!(!config.active_at(0) && !config.active_from(0));
    }

    #[test]
    fn should_name_the_key_at_fault() {
        for (text, key) in [
            ("plugin = \"\"", "plugin"),
            ("plugin = \"x\"\nname = \"a.b\"", "name"),
            ("plugin = \"x\"\ncoefficient = nan", "coefficient"),
            ("plugin = \"x\"\ncoefficient = inf", "coefficient"),
            ("plugin = \"x\"\ncoefficient = -1", "coefficient"),
            ("plugin = \"x\"\ncoefficient = 1e39", "coefficient"),
            ("plugin = \"x\"\nstart_step = 5\nstop_step = 5", "stop_step"),
            ("plugin = \"x\"\ndecay_start = 5", "decay_steps"),
            ("plugin = \"x\"\ndecay_steps = 5", "decay_start"),
            ("plugin = \"x\"\ndecay_start = 1\ndecay_steps = 0", "decay_steps"),
            ("plugin = \"x\"\nsha256 = \"abc\"", "sha256"),
            ("plugin = \"x\"\nconfig.a.b = [1.0, nan]", "config.a.b[1]"),
        ] {
            let error = error(text);
            assert!(error.contains(key), "{text}: {error}");
        }
        assert!(toml::from_str::<SourceConfig>("plugin = \"x\"\ncoeficient = 1").is_err());
    }
}
