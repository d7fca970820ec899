//! Sampling parameters of requests in OpenAI's names.

use crate::api_error::ApiError;
use crate::request::constraint::{self, FieldConstraint};
use crate::request::fields::Fields;
use crate::request::number::{self, Number};
use crate::state::{App, Model};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use smolvlm::generate::SequenceBias;
use smolvlm::{LoopGuard, SamplingParams};
use std::collections::BTreeMap;

/// Maximum number of stop strings, and of bytes of each.
pub(crate) const MAX_STOPS: usize = 16;
pub(crate) const MAX_STOP_BYTES: usize = 256;

/// Maximum number of tokens with a bias.
const MAX_BIASES: usize = 1024;

/// Biases of OpenAI: -100 bans a token.
const BIASES: std::ops::RangeInclusive<f64> = -100.0..=100.0;

/// Sampling parameters, number and stop strings of answers.
#[derive(Debug, Clone)]
pub(crate) struct AnswerParams {
    pub(crate) sampling: SamplingParams,
    /// Number of answers.
    pub(crate) choices: usize,
    /// Strings before which the text ends.
    pub(crate) stop: Vec<String>,
    /// The field of the constraint, for errors.
    pub(crate) constrained_by: Option<String>,
}

impl AnswerParams {
    /// The parameters of a request that sets none.
    pub(crate) fn default(app: &App, model: &Model) -> Self {
        let mut sampling = model.smolvlm.sampling();
        if let Some(tokens) = app.config.default_max_tokens {
            sampling = sampling.max_new_tokens(tokens);
        }
        sampling.loop_guard = app.config.loop_guard.then(LoopGuard::default);
        Self { sampling, choices: 1, stop: Vec::new(), constrained_by: None }
    }

    /// Takes the parameters that chat and text completions share.
    pub(crate) fn parse(fields: &mut Fields<'_>, app: &App, model: &Model) -> Result<Self, ApiError> {
        let mut answer = Self::default(app, model);
        let old = fields.integer(&number::MAX_TOKENS)?;
        if let Some(tokens) = fields.integer(&number::MAX_COMPLETION_TOKENS)?.or(old) {
            answer.sampling = answer.sampling.max_new_tokens(tokens);
        }
        let params = &mut answer.sampling;
        if let Some(tokens) = fields.integer(&number::MIN_TOKENS)? {
            params.min_new_tokens = tokens;
        }
        sample(params, fields)?;
        penalize(params, fields, &number::REPETITION_PENALTY)?;
        if let Some(skip) = fields.flag("skip_special_tokens")? {
            params.skip_special_tokens = skip;
        }
        if fields.flag("ignore_eos")? == Some(true) {
            let ends = params.eos_token_ids.clone();
            params.suppress_tokens.extend(ends);
        }
        params.sequence_bias.extend(logit_bias(fields, model.vocabulary())?);
        answer.choices = fields.integer(&number::CHOICES)?.unwrap_or(1);
        let limit = app.config.max_choices.max(1);
        if answer.choices > limit {
            return Err(fields.invalid("n", format!("is {}; this server allows {limit}", answer.choices)));
        }
        answer.set_stop(stop(fields)?);
        answer.constrain(constraint::parse(fields)?);
        Ok(answer)
    }

    /// Takes the maximum number of generated tokens in the names of llama.cpp and Ollama, where negative numbers are no
    /// limit.
    pub(crate) fn predict(&mut self, fields: &mut Fields<'_>, number: &Number, model: &Model) -> Result<(), ApiError> {
        let tokens = match fields.float(number)? {
            None => return Ok(()),
            Some(0.0) => return Err(fields.invalid(number.name, "is 0; it must be at least 1, or -1 for no limit")),
            Some(tokens) if tokens < 0.0 => model.context(),
            Some(tokens) => tokens as usize,
        };
        self.sampling.max_new_tokens = tokens;
        self.sampling.max_length = None;
        Ok(())
    }

    /// Sets what the text must match.
    pub(crate) fn constrain(&mut self, constraint: Option<FieldConstraint>) {
        if let Some(FieldConstraint { field, constraint }) = constraint {
            self.sampling.constraint = Some(constraint);
            self.constrained_by = Some(field);
        }
    }

    /// Sets the strings before which the text ends.
    pub(crate) fn set_stop(&mut self, stop: Vec<String>) {
        self.sampling.stop_strings.extend(stop.iter().cloned());
        self.stop = stop;
    }
}

/// Takes the parameters of sampling. A temperature of 0 is greedy decoding; without a temperature, a restriction of the
/// tokens asks for sampling.
pub(crate) fn sample(params: &mut SamplingParams, fields: &mut Fields<'_>) -> Result<(), ApiError> {
    let temperature = fields.float(&number::TEMPERATURE)?;
    let (top_p, min_p) = (fields.float(&number::TOP_P)?, fields.float(&number::MIN_P)?);
    let top_k = fields.float(&number::TOP_K)?;
    params.seed = seed(fields)?.or(params.seed);
    let restricted =
        top_p.is_some_and(|top_p| top_p < 1.0) || min_p.is_some_and(|min_p| min_p > 0.0) || top_k.is_some();
    params.do_sample = match temperature {
        Some(temperature) => temperature > 0.0,
        None => params.do_sample || restricted,
    };
    if let Some(temperature) = temperature.filter(|&temperature| temperature > 0.0) {
        // Smaller values overflow; the result is greedy decoding anyway.
        params.temperature = (temperature as f32).max(1e-4);
    }
    if let Some(top_p) = top_p {
        params.top_p = top_p as f32;
    }
    if let Some(min_p) = min_p {
        params.min_p = Some(min_p as f32);
    }
    if let Some(top_k) = top_k {
        // -1 is all tokens in vLLM.
        params.top_k = top_k.max(0.0) as usize;
    }
    Ok(())
}

/// Takes the penalties on tokens that occurred before. APIs differ in the name of the first.
pub(crate) fn penalize(
    params: &mut SamplingParams,
    fields: &mut Fields<'_>,
    repetition: &Number,
) -> Result<(), ApiError> {
    for (number, penalty) in [
        (repetition, &mut params.repetition_penalty),
        (&number::FREQUENCY_PENALTY, &mut params.frequency_penalty),
        (&number::PRESENCE_PENALTY, &mut params.presence_penalty),
    ] {
        if let Some(value) = fields.float(number)? {
            *penalty = value as f32;
        }
    }
    Ok(())
}

fn seed(fields: &mut Fields<'_>) -> Result<Option<u64>, ApiError> {
    let Some(seed) = fields.take::<serde_json::Number>("seed", "an integer")? else { return Ok(None) };
    let seed = seed.as_u64().or_else(|| seed.as_i64().map(i64::cast_unsigned));
    seed.map(Some).ok_or_else(|| fields.invalid("seed", "must be an integer of 64 bits"))
}

/// A string, or a list of strings.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Takes the stop strings. Empty strings are ignored.
pub(crate) fn stop(fields: &mut Fields<'_>) -> Result<Vec<String>, ApiError> {
    let mut stop = match fields.take("stop", "a string or a list of strings")? {
        None => return Ok(Vec::new()),
        Some(OneOrMany::One(one)) => vec![one],
        Some(OneOrMany::Many(many)) => many,
    };
    stop.retain(|text| !text.is_empty());
    if stop.len() > MAX_STOPS || stop.iter().any(|text| text.len() > MAX_STOP_BYTES) {
        let problem = format!("must have at most {MAX_STOPS} strings of at most {MAX_STOP_BYTES} bytes");
        return Err(fields.invalid("stop", problem));
    }
    Ok(stop)
}

/// Takes OpenAI's map of token ids to biases, or llama.cpp's list of pairs.
fn logit_bias(fields: &mut Fields<'_>, vocabulary: usize) -> Result<Vec<SequenceBias>, ApiError> {
    let legal = "an object of token ids and biases from -100 to 100";
    let invalid = |fields: &Fields<'_>| fields.invalid("logit_bias", format!("must be {legal}"));
    let Some(value) = fields.take::<&RawValue>("logit_bias", legal)? else { return Ok(Vec::new()) };
    let pairs: Vec<(u32, f64)> = if let Ok(map) = serde_json::from_str::<BTreeMap<String, f64>>(value.get()) {
        let pairs = map.iter().map(|(token, &bias)| Some((token.parse().ok()?, bias)));
        pairs.collect::<Option<_>>().ok_or_else(|| invalid(fields))?
    } else {
        serde_json::from_str(value.get()).map_err(|_| invalid(fields))?
    };
    if pairs.len() > MAX_BIASES {
        return Err(fields.invalid("logit_bias", format!("has more than {MAX_BIASES} tokens")));
    }
    let biases = pairs.into_iter().map(|(token, bias)| {
        if !BIASES.contains(&bias) {
            return Err(invalid(fields));
        }
        if token as usize >= vocabulary {
            let problem = format!("has the token {token}; the model has {vocabulary} tokens");
            return Err(fields.invalid("logit_bias", problem));
        }
        // OpenAI defines -100 as a ban; a finite bias of -100 would not guarantee it.
        let bias = if bias == -100.0 { f64::NEG_INFINITY } else { bias };
        Ok(SequenceBias { tokens: vec![token], bias })
    });
    biases.collect()
}

/// Rejects features of chat requests that do not exist here, unless their values ask for nothing.
pub(crate) fn reject_unsupported(fields: &mut Fields<'_>) -> Result<(), ApiError> {
    let tools: Option<Vec<Value>> = fields.take("tools", "a list")?;
    if tools.is_some_and(|tools| !tools.is_empty()) {
        return Err(ApiError::unsupported("tools", "are not supported by this model"));
    }
    let choice: Option<Value> = fields.take("tool_choice", "a string or an object")?;
    if choice.is_some_and(|choice| choice != "none" && choice != "auto") {
        return Err(ApiError::unsupported("tool_choice", "is not supported by this model; leave it out"));
    }
    for name in ["chat_template", "chat_template_kwargs"] {
        let value: Option<Value> = fields.take(name, "an object")?;
        if value.is_some_and(|value| !value.as_object().is_some_and(serde_json::Map::is_empty)) {
            return Err(ApiError::unsupported(
                name,
                "cannot be set by requests; the server uses the checkpoint's template",
            ));
        }
    }
    Ok(())
}
