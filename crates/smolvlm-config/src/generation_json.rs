//! JSON serialization of generation parameters.

use serde_json::{Map, Value, json};

use crate::{
    CacheImplementation, EarlyStopping, Error, ExponentialDecay, GenerationConfig, SequenceBias, Watermarking,
    json::{COUNT, FLAG, Kind, NUMBER, Node, SPECIAL_TOKEN, SPECIAL_TOKENS, TEXT, TOKEN},
    text::tokens_value,
};

const STOPPING: Kind<EarlyStopping> = Kind {
    expected: "true, false or \"never\"",
    convert: |value| match value {
        Value::Bool(true) => Some(EarlyStopping::WhenFinished),
        Value::Bool(false) => Some(EarlyStopping::WhenUnlikely),
        Value::String(text) if text == "never" => Some(EarlyStopping::WhenImpossible),
        _ => None,
    },
};

const TEXTS: Kind<Vec<String>> = Kind {
    expected: "a string or a list of strings",
    convert: |value| match value {
        Value::Array(list) => list.iter().map(TEXT.convert).collect(),
        single => (TEXT.convert)(single).map(|text| vec![text]),
    },
};

const TOKENS: Kind<Vec<u32>> = Kind {
    expected: "a list of token ids (integers from 0 to 4294967295)",
    convert: |value| value.as_array()?.iter().map(TOKEN.convert).collect(),
};

const RUNS: Kind<Vec<Vec<u32>>> = Kind {
    expected: "a list of lists of token ids (integers from 0 to 4294967295)",
    convert: |value| value.as_array()?.iter().map(TOKENS.convert).collect(),
};

const BIASES: Kind<Vec<SequenceBias>> = Kind {
    expected: "a list of [list of token ids, number]",
    convert: |value| {
        let pair = |value: &Value| match value.as_array()?.as_slice() {
            [tokens, bias] => Some(SequenceBias { tokens: (TOKENS.convert)(tokens)?, bias: (NUMBER.convert)(bias)? }),
            _ => None,
        };
        value.as_array()?.iter().map(pair).collect()
    },
};

const DECAY: Kind<ExponentialDecay> = Kind {
    expected: "a list of a start (an integer from 0 up) and a factor (a number)",
    convert: |value| match value.as_array()?.as_slice() {
        [start, factor] => Some(ExponentialDecay { start: (COUNT.convert)(start)?, factor: (NUMBER.convert)(factor)? }),
        _ => None,
    },
};

const HASH_KEY: Kind<u64> = Kind { expected: "an integer from 0 up", convert: Value::as_u64 };

impl GenerationConfig {
    pub(crate) fn read(node: &Node<'_>) -> Result<Self, Error> {
        Ok(GenerationConfig {
            eos_token_ids: node.nullable("eos_token_id", SPECIAL_TOKENS)?.unwrap_or_default(),
            pad_token_id: node.nullable("pad_token_id", SPECIAL_TOKEN)?.flatten(),
            bos_token_id: node.nullable("bos_token_id", SPECIAL_TOKEN)?.flatten(),
            max_new_tokens: node.nullable("max_new_tokens", COUNT)?,
            max_length: node.nullable("max_length", COUNT)?,
            min_new_tokens: node.nullable("min_new_tokens", COUNT)?,
            min_length: node.nullable("min_length", COUNT)?,
            max_time: node.nullable("max_time", NUMBER)?,
            stop_strings: node.nullable("stop_strings", TEXTS)?.unwrap_or_default(),
            do_sample: node.nullable("do_sample", FLAG)?,
            num_beams: node.nullable("num_beams", COUNT)?,
            early_stopping: node.nullable("early_stopping", STOPPING)?,
            length_penalty: node.nullable("length_penalty", NUMBER)?,
            num_return_sequences: node.nullable("num_return_sequences", COUNT)?,
            temperature: node.nullable("temperature", NUMBER)?,
            top_k: node.nullable("top_k", COUNT)?,
            top_p: node.nullable("top_p", NUMBER)?,
            min_p: node.nullable("min_p", NUMBER)?,
            top_h: node.nullable("top_h", NUMBER)?,
            typical_p: node.nullable("typical_p", NUMBER)?,
            epsilon_cutoff: node.nullable("epsilon_cutoff", NUMBER)?,
            eta_cutoff: node.nullable("eta_cutoff", NUMBER)?,
            repetition_penalty: node.nullable("repetition_penalty", NUMBER)?,
            no_repeat_ngram_size: node.nullable("no_repeat_ngram_size", COUNT)?,
            bad_words_ids: node.nullable("bad_words_ids", RUNS)?.unwrap_or_default(),
            sequence_bias: node.nullable("sequence_bias", BIASES)?.unwrap_or_default(),
            forced_bos_token_id: node.nullable("forced_bos_token_id", TOKEN)?,
            forced_eos_token_ids: node.nullable("forced_eos_token_id", SPECIAL_TOKENS)?.unwrap_or_default(),
            remove_invalid_values: node.nullable("remove_invalid_values", FLAG)?,
            exponential_decay_length_penalty: node.nullable("exponential_decay_length_penalty", DECAY)?,
            suppress_tokens: node.nullable("suppress_tokens", TOKENS)?.unwrap_or_default(),
            begin_suppress_tokens: node.nullable("begin_suppress_tokens", TOKENS)?.unwrap_or_default(),
            renormalize_logits: node.nullable("renormalize_logits", FLAG)?,
            guidance_scale: node.nullable("guidance_scale", NUMBER)?,
            watermarking: match node.object("watermarking_config")? {
                Some(watermarking) => Some(read_watermarking(&watermarking)?),
                None => None,
            },
            use_cache: node.nullable("use_cache", FLAG)?,
            cache_implementation: match node.nullable("cache_implementation", TEXT)? {
                Some(name) => Some(read_cache(name, node)?),
                None => None,
            },
            prefill_chunk_size: node.nullable("prefill_chunk_size", COUNT)?,
        })
    }

    /// Serializes the parameters to `generation_config.json`. Parsing it gives an equal value.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", Value::Object(self.to_map()))
    }

    /// The parameters that are set, by their names in configuration files.
    pub(crate) fn to_map(&self) -> Map<String, Value> {
        let runs =
            |runs: &[SequenceBias]| -> Vec<Value> { runs.iter().map(|run| json!([run.tokens, run.bias])).collect() };
        let mut value = json!({
            "eos_token_id": tokens_value(&self.eos_token_ids),
            "pad_token_id": self.pad_token_id,
            "bos_token_id": self.bos_token_id,
            "max_new_tokens": self.max_new_tokens,
            "max_length": self.max_length,
            "min_new_tokens": self.min_new_tokens,
            "min_length": self.min_length,
            "max_time": self.max_time,
            "stop_strings": self.stop_strings,
            "do_sample": self.do_sample,
            "num_beams": self.num_beams,
            "early_stopping": self.early_stopping.map(stopping_value),
            "length_penalty": self.length_penalty,
            "num_return_sequences": self.num_return_sequences,
            "temperature": self.temperature,
            "top_k": self.top_k,
            "top_p": self.top_p,
            "min_p": self.min_p,
            "top_h": self.top_h,
            "typical_p": self.typical_p,
            "epsilon_cutoff": self.epsilon_cutoff,
            "eta_cutoff": self.eta_cutoff,
            "repetition_penalty": self.repetition_penalty,
            "no_repeat_ngram_size": self.no_repeat_ngram_size,
            "bad_words_ids": self.bad_words_ids,
            "sequence_bias": runs(&self.sequence_bias),
            "forced_bos_token_id": self.forced_bos_token_id,
            "forced_eos_token_id": tokens_value(&self.forced_eos_token_ids),
            "remove_invalid_values": self.remove_invalid_values,
            "suppress_tokens": self.suppress_tokens,
            "begin_suppress_tokens": self.begin_suppress_tokens,
            "renormalize_logits": self.renormalize_logits,
            "guidance_scale": self.guidance_scale,
            "use_cache": self.use_cache,
            "cache_implementation": self.cache_implementation.map(cache_name),
            "prefill_chunk_size": self.prefill_chunk_size,
        });
        let mut map = value.as_object_mut().map(std::mem::take).unwrap_or_default();
        if let Some(decay) = &self.exponential_decay_length_penalty {
            map.insert("exponential_decay_length_penalty".to_owned(), json!([decay.start, decay.factor]));
        }
        if let Some(watermarking) = &self.watermarking {
            map.insert("watermarking_config".to_owned(), watermarking_value(watermarking));
        }
        map.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
        map
    }
}

fn stopping_value(stopping: EarlyStopping) -> Value {
    match stopping {
        EarlyStopping::WhenFinished => json!(true),
        EarlyStopping::WhenUnlikely => json!(false),
        EarlyStopping::WhenImpossible => json!("never"),
    }
}

fn read_cache(name: String, node: &Node<'_>) -> Result<CacheImplementation, Error> {
    match name.as_str() {
        "dynamic" => Ok(CacheImplementation::Dynamic),
        // The others are former names, which transformers 5 also reads as static.
        "static" | "sliding_window" | "hybrid" | "hybrid_chunked" => Ok(CacheImplementation::Static),
        "offloaded" => Ok(CacheImplementation::Offloaded),
        "offloaded_static" | "offloaded_hybrid" | "offloaded_hybrid_chunked" => {
            Ok(CacheImplementation::OffloadedStatic)
        }
        "quantized" => Ok(CacheImplementation::Quantized),
        _ => Err(Error::unsupported(
            node.key("cache_implementation"),
            &name,
            "dynamic, static, offloaded, offloaded_static, quantized",
        )),
    }
}

fn cache_name(cache: CacheImplementation) -> &'static str {
    match cache {
        CacheImplementation::Dynamic => "dynamic",
        CacheImplementation::Static => "static",
        CacheImplementation::Offloaded => "offloaded",
        CacheImplementation::OffloadedStatic => "offloaded_static",
        CacheImplementation::Quantized => "quantized",
    }
}

fn read_watermarking(node: &Node<'_>) -> Result<Watermarking, Error> {
    let default = Watermarking::default();
    Ok(Watermarking {
        greenlist_ratio: node.get("greenlist_ratio", NUMBER)?.unwrap_or(default.greenlist_ratio),
        bias: node.get("bias", NUMBER)?.unwrap_or(default.bias),
        hashing_key: node.get("hashing_key", HASH_KEY)?.unwrap_or(default.hashing_key),
        self_hash: match node.get("seeding_scheme", TEXT)?.as_deref() {
            None | Some("lefthash") => false,
            Some("selfhash") => true,
            Some(other) => {
                return Err(Error::unsupported(node.key("seeding_scheme"), other, "lefthash, selfhash"));
            }
        },
        context_width: node.get("context_width", COUNT)?.unwrap_or(default.context_width),
    })
}

fn watermarking_value(watermarking: &Watermarking) -> Value {
    json!({
        "greenlist_ratio": watermarking.greenlist_ratio,
        "bias": watermarking.bias,
        "hashing_key": watermarking.hashing_key,
        "seeding_scheme": if watermarking.self_hash { "selfhash" } else { "lefthash" },
        "context_width": watermarking.context_width,
    })
}
