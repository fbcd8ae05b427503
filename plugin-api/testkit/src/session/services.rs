//! What a source asks of the host's networks, its path and its random numbers.

use sextant_plugin_api::{Condition, Distribution, Network};

use super::{Context, Pass, State};
use crate::compute::Operands;
use crate::draw::Draws;
use crate::{Row, Value};

impl State {
    fn context(&self) -> Result<&Context, String> {
        self.context.as_ref().ok_or_else(|| "there is no step".to_owned())
    }

    pub(super) fn forward(
        &mut self,
        operands: &Operands<'_>,
        network: Network,
        depths: &[u32],
        rows: &[u32],
        conditions: &[u32],
    ) -> Result<Vec<Value>, String> {
        let (x_t, t) = (operands.float(0)?, operands.float(1)?);
        let context = self.context()?;
        let inputs = &context.inputs;
        let (tokens, width, declared) = context
            .networks
            .get(&network)
            .ok_or_else(|| format!("the geometry has no {network:?} network that can be asked"))?;
        if let Some(depth) = depths.iter().find(|depth| !declared.contains(depth)) {
            return Err(format!(
                "the plan declares depths {declared:?} of the {network:?} network, but not {depth}"
            ));
        }
        let mut wanted = inputs.x.shape.clone();
        wanted[0] = rows.len();
        if x_t.shape != wanted || t.shape != [rows.len()] || conditions.len() != rows.len() {
            return Err(format!(
                "{} rows, x_t {:?}, t {:?} and {} conditions do not fit one another",
                rows.len(),
                x_t.shape,
                t.shape,
                conditions.len()
            ));
        }
        let mut pass = Pass {
            network,
            depths: depths.to_vec(),
            rows: rows.to_vec(),
            conditions: Vec::new(),
            x_t: x_t.clone(),
            t: t.data.clone(),
        };
        let mut results = vec![Vec::new(); depths.len()];
        let row_width = x_t.data.len().checked_div(rows.len()).unwrap_or(0);
        for (i, (row, code)) in rows.iter().zip(conditions).enumerate() {
            let sample = *row as usize;
            if sample >= inputs.batch() {
                return Err(format!(
                    "row {row} is asked for, but the batch has {} samples",
                    inputs.batch()
                ));
            }
            let condition = Condition::from_code(*code).ok_or_else(|| format!("condition {code} does not exist"))?;
            pass.conditions.push(condition);
            for (depth, result) in depths.iter().zip(&mut results) {
                let answer = (inputs.network)(&Row {
                    network,
                    depth: *depth,
                    sample,
                    condition,
                    label: match condition {
                        Condition::Own => inputs.labels[sample],
                        Condition::Null => context.null_class,
                        Condition::Dropped => inputs.dropped[sample],
                    },
                    x_t: &x_t.data[i * row_width..][..row_width],
                    t: t.data[i],
                    tokens: *tokens,
                    width: *width,
                });
                if answer.len() != tokens * width {
                    let found = answer.len();
                    return Err(format!(
                        "the test's network answered {found} numbers, not {tokens} * {width}"
                    ));
                }
                result.extend(answer);
            }
        }
        let shape = [rows.len(), *tokens, *width];
        self.trace.passes.push(pass);
        Ok(results.into_iter().map(|data| Value::new(shape, data)).collect())
    }

    pub(super) fn random(&self, distribution: Distribution, tag: &str, shape: &[usize]) -> Result<Value, String> {
        let inputs = &self.context()?.inputs;
        let stream = format!("guidance/{}/{tag}", inputs.instance);
        let count = shape.iter().product();
        let sample = |id: &u64| Draws::new(&stream, &[inputs.seed, inputs.index, *id]).many(distribution, count);
        let data: Vec<f64> = inputs.ids.iter().flat_map(sample).collect();
        Ok(Value::new([&[inputs.ids.len()], shape].concat(), data))
    }

    pub(super) fn diffuse(&self, operands: &Operands<'_>) -> Result<Value, String> {
        let (x, n, t) = (operands.float(0)?, operands.float(1)?, operands.float(2)?);
        if x.shape.is_empty() || x.shape != n.shape || t.shape != x.shape[..1] {
            return Err(format!(
                "x {:?}, n {:?} and t {:?} do not fit one another",
                x.shape, n.shape, t.shape
            ));
        }
        Ok(self.context()?.inputs.path.mix(x, n, &t.data, false))
    }

    pub(super) fn coefficients(&self, t: &Value) -> Result<Vec<Value>, String> {
        let path = self.context()?.inputs.path;
        Ok((0..4).map(|i| t.map(|t| path.coefficients(t)[i])).collect())
    }
}
