use super::*;
use crate::hub::referee::Referee;

const PLAIN: &[u8] = include_bytes!("../../../../../tests/fixtures/dinov2.safetensors");
const REGISTERS: &[u8] = include_bytes!("../../../../../tests/fixtures/dinov2_registers.safetensors");

fn load(referee: &Referee) -> Result<Dinov2, FolderError> {
    Dinov2::load(referee.folder.path(), &Device::flex())
}

#[test]
fn should_answer_as_transformers_does_on_its_own_grid_and_on_another() {
    let referee = Referee::read(PLAIN, &LAYOUT);
    let network = load(&referee).unwrap();
    let native = network.forward(referee.tensor("in.native"), Resampling::Plain, &[]);
    referee.agrees(native.patches, "out.native_patch_tokens");
    let images = network.preprocess(referee.tensor("in.image_u8") / 255.0, 4);
    referee.agrees(images.clone(), "out.preprocessed");
    let other = network.forward(images, Resampling::Plain, &[]);
    referee.agrees(other.patches, "out.patch_tokens");
}

#[test]
fn should_have_registers_a_gated_perceptron_and_its_attention() {
    let referee = Referee::read(REGISTERS, &LAYOUT);
    let network = load(&referee).unwrap();
    assert_eq!(network.config().registers(), 2);
    let output = network.forward(referee.tensor("in.images"), Resampling::Antialiased, &[3, 1]);
    referee.agrees(output.class.clone(), "out.class");
    referee.agrees(output.patches.clone(), "out.patches");
    referee.agrees(output.probabilities(0), "out.attention.3");
    referee.agrees(output.probabilities(1), "out.attention.1");
    let logits = output.patch_logits();
    assert_eq!(logits.dims(), [2, 2, 3, 9, 9]);
    // The softmax without the other tokens is the attention among patches, made to sum to one.
    let among = referee.tensor::<4>("out.attention.3").narrow(2, 3, 9).narrow(3, 3, 9);
    let among = among.clone() / among.sum_dim(3);
    let first: Tensor<4> = logits.narrow(1, 0, 1).squeeze_dim(1);
    let gap = burn::tensor::activation::softmax(first, 3) - among;
    assert!(gap.abs().max().into_scalar::<f32>() < 1e-4);
}

#[test]
fn should_resample_positions_as_pytorch_does() {
    let referee = Referee::read(REGISTERS, &LAYOUT);
    let network = load(&referee).unwrap();
    for (resampling, name) in [(Resampling::Plain, "plain"), (Resampling::Antialiased, "antialiased")] {
        for grid in [2, 3, 7] {
            let patches = network.positions(grid, resampling).narrow(1, 1, grid * grid);
            referee.agrees(patches, &format!("positions.{name}.{grid}"));
        }
    }
}

#[test]
fn should_know_the_names_of_the_hubs_files() {
    for fixture in [PLAIN, REGISTERS] {
        let referee = Referee::read(fixture, &LAYOUT);
        let wanted = load(&referee).unwrap().fingerprint();
        let old = |name: &str| {
            [
                (".attention.q_proj.", ".attention.attention.query."),
                (".attention.k_proj.", ".attention.attention.key."),
                (".attention.v_proj.", ".attention.attention.value."),
                (".attention.o_proj.", ".attention.output.dense."),
                (".mlp.down_proj.", ".mlp.weights_out."),
            ]
            .iter()
            .fold(name.to_owned(), |name, (today, old)| name.replace(today, old))
        };
        let mut tensors = referee.model();
        let gates: Vec<String> = tensors
            .keys()
            .filter(|name| name.contains("gate_proj"))
            .cloned()
            .collect();
        for gate in gates {
            let up = tensors.remove(&gate.replace("gate_proj", "up_proj")).unwrap();
            let first = tensors.remove(&gate).unwrap();
            let mut shape = first.shape().to_vec();
            shape[0] *= 2;
            let values: Vec<f32> = first.iter::<f32>().chain(up.iter::<f32>()).collect();
            tensors.insert(gate.replace("gate_proj", "weights_in"), TensorData::new(values, shape));
        }
        referee.write(&tensors.iter().map(|(name, data)| (old(name), data.clone())).collect());
        assert_eq!(load(&referee).unwrap().fingerprint(), wanted);
    }
}

#[test]
fn should_name_the_file_and_all_that_is_wrong_with_it() {
    let referee = Referee::read(PLAIN, &LAYOUT);
    let config = referee.folder.path().join(Layout::CONFIG);
    let text = std::fs::read_to_string(&config).unwrap();
    let refused = |parts: &[&str]| {
        let message = load(&referee).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "{part} in {message}");
        }
    };
    for (from, to, part) in [
        (
            "\"model_type\":\"dinov2\"",
            "\"model_type\":\"vit\"",
            "model_type = \"vit\"",
        ),
        (
            "\"num_attention_heads\":3",
            "\"num_attention_heads\":5",
            "does not divide",
        ),
        ("\"hidden_size\":24", "\"hidden_size\":0", "hidden_size = 0"),
        (
            "\"hidden_act\":\"gelu\"",
            "\"hidden_act\":\"relu\"",
            "hidden_act = \"relu\"",
        ),
        ("\"qkv_bias\":true", "\"qkv_bias\":false", "qkv_bias"),
        ("\"patch_size\":14", "\"patch_size\":\"x\"", "no configuration"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(&config, text.replacen(from, to, 1)).unwrap();
        refused(&["config.json", part]);
    }
    std::fs::write(&config, text.replace("\"image_size\":70", "\"image_size\":84")).unwrap();
    let mut tensors = referee.model();
    tensors.remove("layernorm.bias");
    referee.write(&tensors);
    refused(&[
        "2 tensors",
        "`layernorm.bias` [24] is missing",
        "wanted is [1, 37, 24]",
        LAYOUT.weights,
    ]);
    std::fs::remove_file(&config).unwrap();
    refused(&["config.json", "No such file", LAYOUT.weights]);
}
