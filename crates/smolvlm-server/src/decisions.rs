//! `POST /v1/decisions`: questions about one conversation, answered with the probabilities of their known answers.

use crate::answer::usage::Totals;
use crate::api_error::ApiError;
use crate::backend::Outcome;
use crate::request::body::Admitted;
use crate::request::cost;
use crate::request::fields::Fields;
use crate::request::messages;
use crate::state::{App, Shared, unix_time};
use axum::Json;
use axum::extract::State;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use smolvlm::{Calibration, Cancel, Conversation, DecideOptions, Decisions, Error, FinishReason, Question};

/// A request for decisions.
struct DecisionRequest {
    conversation: Conversation,
    questions: Vec<Question>,
    calibration: Calibration,
}

pub(crate) async fn create(State(app): State<Shared>, admitted: Admitted) -> Result<Json<Value>, ApiError> {
    let Admitted { model, body, place, arrival } = admitted;
    let request = DecisionRequest::parse(&body, &app)?;
    drop(body);
    let tokens = cost::decision_tokens(&request.conversation, &request.questions, &model);
    let slot = app.slot(place, arrival, tokens).await?;
    let cancel = CancelOnDrop(Cancel::new());
    let options = DecideOptions { calibration: request.calibration };
    let worker = model.smolvlm.with_cancel(&cancel.0);
    let work = tokio::task::spawn_blocking(move || {
        let answers = worker.decide(request.conversation, &request.questions, &options);
        // The slot is released when the work ends, even if the client has disconnected.
        drop(slot);
        answers
    });
    let answers = tokio::select! {
        answers = work => match answers {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(Error::Cancelled)) => Err(app.interrupted()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(ApiError::internal("a worker panicked")),
        },
        () = app.interruption(arrival) => Err(app.interrupted()),
    };
    let answers = answers.inspect_err(|error| app.log_cause(error))?;
    let totals = record(&app, &answers);
    Ok(Json(json!({
        "id": app.new_id("decide"),
        "object": "decisions",
        "created": unix_time(),
        "model": app.config.model_name,
        "decisions": answers.decisions,
        "notes": answers.notes.iter().map(ToString::to_string).collect::<Vec<String>>(),
        "usage": totals.usage(),
        "timings": totals.timings(),
    })))
}

impl DecisionRequest {
    fn parse(body: &[u8], app: &App) -> Result<Self, ApiError> {
        let mut fields = Fields::parse(body)?;
        let questions: Vec<&RawValue> = fields.require("questions", "a list of questions")?;
        if questions.is_empty() {
            return Err(fields.invalid("questions", "must not be empty"));
        }
        let question = |(index, json): (usize, &RawValue)| {
            serde_json::from_str(json.get())
                .map_err(|error| ApiError::param(&format!("questions[{index}]"), format!("is invalid: {error}")))
        };
        let questions: Vec<Question> = questions.into_iter().enumerate().map(question).collect::<Result<_, _>>()?;
        Question::validate(&questions)?;
        let temperatures = "an object with the temperatures yes_no, choice and number";
        let calibration: Calibration = fields.take("calibration", temperatures)?.unwrap_or_default();
        calibration.validate()?;
        let conversation = messages::parse(&mut fields, app)?;
        Ok(Self { conversation, questions, calibration })
    }
}

/// Cancels when the request is done, or its client has gone.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Counts the answers as one request.
fn record(app: &App, answers: &Decisions) -> Totals {
    let outcome = Outcome {
        tokens: 0,
        finish_reason: FinishReason::Eos,
        prompt_tokens: answers.prompt_tokens,
        cached_tokens: answers.cached_tokens,
        image_tokens: answers.image_tokens,
        timings: answers.timings,
    };
    app.metrics.record(&outcome, "stop");
    let mut totals = Totals::default();
    totals.add(&outcome, true);
    totals
}
