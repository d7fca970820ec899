//! Metrics for Prometheus.

use crate::backend::Outcome;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use smolvlm::EngineStats;
use std::time::Duration;

/// Upper bounds of the histograms in seconds.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// The metrics of one server. Not the global recorder of the process, so that servers do not share them.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    pub(crate) running: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) queue: Histogram,
    pub(crate) first_token: Histogram,
    inter_token: Histogram,
    media: Histogram,
    vision: Histogram,
    prefill: Histogram,
    decode: Histogram,
    prompt_tokens: Counter,
    generation_tokens: Counter,
    image_tokens: Counter,
    tiles_encoded: Counter,
    tiles_reused: Counter,
    tiles_read: Counter,
    prefix_pages_hit: Counter,
    decode_steps: Counter,
    decode_tokens: Counter,
    drafted_tokens: Counter,
    accepted_drafts: Counter,
    kv_pages: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        // Fails only for an empty list.
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).unwrap_or_default();
        let recorder = builder.build_recorder();
        let gauge = |name: &'static str, help: &'static str| {
            recorder.describe_gauge(KeyName::from(name), None, help.into());
            recorder.register_gauge(&Key::from_static_name(name), &METADATA)
        };
        let seconds = |name: &'static str, help: &'static str| {
            recorder.describe_histogram(KeyName::from(name), Some(Unit::Seconds), help.into());
            recorder.register_histogram(&Key::from_static_name(name), &METADATA)
        };
        let count = |name: &'static str, help: &'static str| {
            recorder.describe_counter(KeyName::from(name), Some(Unit::Count), help.into());
            recorder.register_counter(&Key::from_static_name(name), &METADATA)
        };
        Self {
            handle: recorder.handle(),
            running: gauge("smolvlm_requests_running", "Requests that are processed."),
            waiting: gauge("smolvlm_requests_waiting", "Requests that wait in the queue."),
            queue: seconds("smolvlm_queue_seconds", "Time in the queue."),
            first_token: seconds("smolvlm_time_to_first_token_seconds", "Time from arrival to the first text."),
            inter_token: seconds("smolvlm_inter_token_latency_seconds", "Mean time per token after the first."),
            media: seconds("smolvlm_media_seconds", "Time to read and tile media and to render the prompt."),
            vision: seconds("smolvlm_vision_seconds", "Time of the vision encoder."),
            prefill: seconds("smolvlm_prefill_seconds", "Time of the text model for the prompt."),
            decode: seconds("smolvlm_decode_seconds", "Time of all tokens after the first."),
            prompt_tokens: count("smolvlm_prompt_tokens_total", "Tokens of prompts."),
            generation_tokens: count("smolvlm_generation_tokens_total", "Generated tokens."),
            image_tokens: count("smolvlm_image_tokens_total", "Tokens of images and frames in prompts."),
            tiles_encoded: count("smolvlm_tiles_encoded_total", "Tiles that the vision encoder has encoded."),
            tiles_reused: count("smolvlm_tiles_reused_total", "Tiles whose features were known."),
            tiles_read: count("smolvlm_tiles_read_total", "Those read from the feature cache on disk."),
            prefix_pages_hit: count("smolvlm_prefix_pages_hit_total", "Pages of prompts that were known."),
            decode_steps: count("smolvlm_decode_steps_total", "Steps of the text model that generated tokens."),
            decode_tokens: count(
                "smolvlm_decode_step_tokens_total",
                "Tokens of these steps; divided by their number, the mean batch size.",
            ),
            drafted_tokens: count("smolvlm_drafted_tokens_total", "Tokens looked up in earlier text and verified."),
            accepted_drafts: count("smolvlm_accepted_drafts_total", "Those among them that are part of answers."),
            kv_pages: gauge("smolvlm_kv_pages", "Pages of keys and values in use, kept ones included."),
            recorder,
        }
    }

    /// The metrics in the text format of Prometheus, with those of the model if it is loaded.
    pub(crate) fn render(&self, engine: Option<EngineStats>) -> String {
        if let Some(stats) = engine {
            self.tiles_encoded.absolute(stats.tiles_encoded);
            self.tiles_reused.absolute(stats.tiles_reused);
            self.tiles_read.absolute(stats.tiles_read);
            self.prefix_pages_hit.absolute(stats.prefix_pages_hit);
            self.decode_steps.absolute(stats.decode_steps);
            self.decode_tokens.absolute(stats.decode_tokens);
            self.drafted_tokens.absolute(stats.drafted_tokens);
            self.accepted_drafts.absolute(stats.accepted_drafts);
            self.kv_pages.set(stats.kv_pages as f64);
        }
        self.handle.run_upkeep();
        self.handle.render()
    }

    /// Counts requests that were rejected for a reason.
    pub(crate) fn rejected(&self, reason: &'static str) -> Counter {
        self.labeled("smolvlm_requests_rejected_total", "reason", reason)
    }

    fn labeled(&self, name: &'static str, label: &'static str, value: &'static str) -> Counter {
        let labels = vec![Label::from_static_parts(label, value)];
        self.recorder.register_counter(&Key::from_parts(SharedString::from(name), labels), &METADATA)
    }

    /// Counts an answer.
    pub(crate) fn record(&self, outcome: &Outcome, finish: &'static str) {
        let timings = &outcome.timings;
        let set = |histogram: &Histogram, time: Duration| histogram.record(time.as_secs_f64());
        set(&self.media, timings.process);
        set(&self.vision, timings.vision);
        set(&self.prefill, timings.prefill);
        set(&self.decode, timings.decode);
        // Decisions run steps without generating tokens.
        if timings.decode_tokens > 0 && outcome.tokens > 0 {
            self.inter_token.record(timings.decode.as_secs_f64() / timings.decode_tokens as f64);
        }
        self.prompt_tokens.increment(outcome.prompt_tokens as u64);
        self.generation_tokens.increment(outcome.tokens as u64);
        self.image_tokens.increment(outcome.image_tokens as u64);
        self.labeled("smolvlm_request_success_total", "finished_reason", finish).increment(1);
        // Until then, the histograms keep every value, and there may be nobody who reads the metrics.
        self.handle.run_upkeep();
    }
}

/// Raises a gauge by one until it is dropped.
pub(crate) struct GaugeGuard(Gauge);

impl GaugeGuard {
    pub(crate) fn raise(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl std::fmt::Debug for GaugeGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GaugeGuard")
    }
}
