//! Losses and their gradients on given features against PyTorch, through loaded libraries: the shipped sources where they can
//! be given a fixture's features, `test-parts` for the others.

mod case;
mod numbers;
mod run;

use burn::tensor::TensorData;
use case::{dispersive, irepa, layersync, parts, repa, sra};
use numbers::{dims, relative, single, softmax, wave};
use run::guide;
use sextant_tests::fixture;

#[test]
fn losses_and_gradients_are_pytorchs() {
    for fixture in fixture::all("guidance_losses") {
        for (key, case) in [
            ("repa", repa(&fixture, fixture.data("in.target"))),
            ("layersync", layersync(&fixture)),
            ("self_transcendence", parts(&fixture, "self-transcendence", "sample")),
            (
                "self_transcendence_released",
                parts(&fixture, "self-transcendence", "released"),
            ),
            ("sra_smooth_l1", sra(&fixture, "smooth-l1")),
            ("dispersive", dispersive(&fixture)),
        ] {
            let found = guide(&fixture, case);
            let worst = [(found.loss, "per_sample"), (found.grad, "grad")].map(|(found, what)| {
                let error = relative(&found, &fixture.values(&format!("{key}.{what}")));
                assert!(error <= 1e-5, "{}: {key}.{what} is off by {error:.1e}", fixture.name);
                error
            });
            println!(
                "{}: {key} within {:.1e}, gradient {:.1e} (relative)",
                fixture.name, worst[0], worst[1]
            );
        }
    }
}

/// The sum of the patches weighted by a field has that field's patches as gradient; here it is compared as a value, with the
/// fixture's own patches as weights: only the right order of elements gives the sum of their squares.
#[test]
fn patches_are_in_pytorchs_order() {
    for fixture in fixture::all("guidance_losses") {
        let wanted: Vec<f32> = fixture.values("patchify");
        let batch = fixture.number("batch") as usize;
        let squares: Vec<f32> = wanted
            .chunks(wanted.len() / batch)
            .map(|p| p.iter().map(|v| v * v).sum())
            .collect();
        let case = parts(&fixture, "patchify", "sample").field("target", fixture.data("patchify"));
        let error = relative(&guide(&fixture, case).loss, &squares);
        println!("{}: patches within {error:.1e}", fixture.name);
        assert!(error <= 1e-5, "{}: patches are in another order", fixture.name);
    }
}

/// The alignment to iREPA's target equals that to the fixture's normalised target.
#[test]
fn the_spatially_normalised_target_is_pytorchs() {
    for fixture in fixture::all("guidance_losses") {
        let found = guide(&fixture, irepa(&fixture));
        let wanted = guide(&fixture, repa(&fixture, fixture.data("irepa_spatial_norm.target")));
        let errors = [relative(&found.loss, &wanted.loss), relative(&found.grad, &wanted.grad)];
        println!(
            "{}: irepa within {:.1e}, gradient {:.1e} (relative)",
            fixture.name, errors[0], errors[1]
        );
        assert!(
            errors.iter().all(|error| *error <= 1e-5),
            "{}: {errors:?}",
            fixture.name
        );
    }
}

/// sra's other loss, 1 - cosine over the token axis, of which there is no fixture: its formula in f64.
#[test]
fn the_cosine_over_tokens_is_its_formula() {
    for fixture in fixture::all("guidance_losses") {
        let found = guide(&fixture, sra(&fixture, "cosine"));
        let [batch, tokens, width] = dims(&fixture.data("in.student"));
        let (h, z): (Vec<f64>, Vec<f64>) = (fixture.values("in.student"), fixture.values("in.target"));
        let cosine = |sample: usize, channel: usize| {
            let pairs = (0..tokens).map(|token| {
                let at = (sample * tokens + token) * width + channel;
                (h[at], z[at])
            });
            let [hz, hh, zz] = pairs.fold([0.0; 3], |sum, (h, z)| [sum[0] + h * z, sum[1] + h * h, sum[2] + z * z]);
            hz / (hh * zz).sqrt()
        };
        let of = |sample| 1.0 - (0..width).map(|channel| cosine(sample, channel)).sum::<f64>() / width as f64;
        let wanted: Vec<f32> = (0..batch).map(|sample| of(sample) as f32).collect();
        let error = relative(&found.loss, &wanted);
        println!("{}: sra's cosine within {error:.1e} (relative)", fixture.name);
        assert!(error <= 1e-5, "{}: {error:.1e}", fixture.name);
    }
}

/// haste is repa and a cross-entropy of attentions, of which there is no fixture: its formula in f64, with more heads in the
/// student than in the encoder.
#[test]
fn aligned_attention_is_its_formula() {
    const BLOCKS: [usize; 2] = [2, 3];
    const HEADS: [usize; 2] = [4, 3]; // of the student, of the encoder
    for fixture in fixture::all("guidance_losses") {
        let [batch, tokens, _] = dims(&fixture.data("in.student"));
        let map = tokens * tokens;
        let count = |heads: usize| batch * heads * map;
        let student = BLOCKS.map(|block| softmax(&wave(count(HEADS[0]), block as f64), tokens));
        let logits = wave(batch * BLOCKS.len() * HEADS[1] * map, 0.7);
        let encoder = softmax(&logits, tokens);
        // -q log p and -q / p, over the queries, heads and blocks that are averaged.
        let averaged = (tokens * HEADS[1] * BLOCKS.len()) as f64;
        let mut wanted: Vec<f64> = vec![0.0; batch];
        let mut gradients = vec![vec![0.0; count(HEADS[0])]; BLOCKS.len()];
        for (block, p) in student.iter().enumerate() {
            for sample in 0..batch {
                for at in 0..HEADS[1] * map {
                    let p_at = sample * HEADS[0] * map + at;
                    let q = encoder[(sample * BLOCKS.len() + block) * HEADS[1] * map + at];
                    wanted[sample] -= q * p[p_at].ln() / averaged;
                    gradients[block][p_at] = -q / p[p_at] / averaged / batch as f64;
                }
            }
        }
        let shape = [batch, HEADS[0], tokens, tokens];
        let attention = BLOCKS.into_iter().zip(&student);
        let attention = attention.map(|(block, p)| (block, TensorData::new(single(p), shape)));
        let field = TensorData::new(single(&logits), [batch, BLOCKS.len(), HEADS[1], tokens, tokens]);
        let mut case = repa(&fixture, fixture.data("in.target")).field("attention", field);
        case.plugin = "haste";
        case.config
            .insert("attention_depths".into(), BLOCKS.map(|b| b as i64).to_vec().into());
        case.config.insert("attention_weight".into(), 2.0.into());
        case.attention = attention.collect();
        let found = guide(&fixture, case);

        let alignment: Vec<f32> = fixture.values("repa.per_sample");
        let loss: Vec<f32> = alignment
            .iter()
            .zip(&wanted)
            .map(|(a, b)| a + 2.0 * *b as f32)
            .collect();
        let mut errors = vec![
            relative(&found.loss, &loss),
            relative(&found.grad, &fixture.values("repa.grad")),
        ];
        for (found, wanted) in found.attention.iter().zip(&gradients) {
            let wanted: Vec<f64> = wanted.iter().map(|g| 2.0 * g).collect();
            errors.push(relative(found, &single(&wanted)));
        }
        println!(
            "{}: haste within {:.1e}, gradient to tokens {:.1e}, to attention {:.1e} and {:.1e}",
            fixture.name, errors[0], errors[1], errors[2], errors[3]
        );
        assert!(
            errors.iter().all(|error| *error <= 1e-5),
            "{}: {errors:?}",
            fixture.name
        );
    }
}

/// haste without an encoder's attention: cosines of its features stand in, for all heads.
#[test]
fn affinity_is_its_formula() {
    const TEMPERATURE: f64 = 0.2;
    for fixture in fixture::all("guidance_losses") {
        let [batch, tokens, width] = dims(&fixture.data("in.target"));
        let heads = 2;
        let p = softmax(&wave(batch * heads * tokens * tokens, 0.3), tokens);
        let z: Vec<f64> = fixture.values("in.target");
        let token = |sample: usize, token: usize| &z[(sample * tokens + token) * width..][..width];
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let q = (0..batch).flat_map(|sample| {
            let cosines = (0..tokens)
                .flat_map(|i| (0..tokens).map(move |j| (i, j)))
                .map(|(i, j)| {
                    let (a, b) = (token(sample, i), token(sample, j));
                    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt() / TEMPERATURE
                });
            softmax(&cosines.collect::<Vec<f64>>(), tokens).repeat(heads)
        });
        let averaged = (heads * tokens) as f64;
        let pairs: Vec<(f64, f64)> = q.zip(p.iter().copied()).collect();
        let wanted = pairs
            .chunks(pairs.len() / batch)
            .map(|pairs| pairs.iter().map(|(q, p)| -q * p.ln()).sum::<f64>());
        let alignment: Vec<f32> = fixture.values("repa.per_sample");
        let loss: Vec<f32> = wanted.zip(alignment).map(|(a, b)| (a / averaged) as f32 + b).collect();
        let gradient: Vec<f64> = pairs.iter().map(|(q, p)| -q / p / averaged / batch as f64).collect();

        let mut case = repa(&fixture, fixture.data("in.target"));
        case.plugin = "haste";
        case.config.insert("target".into(), "affinity".into());
        case.config.insert("temperature".into(), TEMPERATURE.into());
        case.config.insert("attention_depths".into(), vec![1i64].into());
        case.attention = [(1, TensorData::new(single(&p), [batch, heads, tokens, tokens]))].into();
        let found = guide(&fixture, case);
        let errors = [
            relative(&found.loss, &loss),
            relative(&found.attention[0], &single(&gradient)),
        ];
        println!(
            "{}: haste's affinity within {:.1e}, gradient to attention {:.1e}",
            fixture.name, errors[0], errors[1]
        );
        assert!(
            errors.iter().all(|error| *error <= 1e-5),
            "{}: {errors:?}",
            fixture.name
        );
    }
}
