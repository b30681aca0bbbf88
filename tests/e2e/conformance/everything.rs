//! The server that the suite's scenarios are written for: tools, prompts and resources of agreed names. What is always the
//! same is in `everything.json`; what a tool does is here.

// Logging and sampling were given up with 2026-07-28; clients of the versions before still use them.
#![allow(deprecated)]

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ErrorCode, GetPromptRequestParams,
        GetPromptResponse, GetPromptResult, Implementation, InputRequiredResult, InputResponses, JsonObject,
        ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ServerConfig, SetLevelRequestParams,
        SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams,
    },
    service::{RequestContext, SubscriptionContext},
};
use serde_json::{Value, json};
use tokio::{
    sync::broadcast::{self, Sender},
    time::sleep,
};

/// Between two notifications, so that they travel apart.
const APART: Duration = Duration::from_millis(20);

/// The server. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Everything {
    data: Arc<Value>,
    /// The request states that were handed out: of which tool, after how many rounds.
    states: Arc<Mutex<HashMap<String, (String, usize)>>>,
    changes: Sender<Change>,
    /// Whether it may ask its client in the middle of a call, which takes a protocol session.
    asks_back: bool,
}

#[derive(Clone, Copy)]
enum Change {
    Tools,
    Prompts,
}

type Context = RequestContext<RoleServer>;
type Answer<T> = Result<T, ErrorData>;

impl Everything {
    /// `sessions` tells whether requests of one client belong together.
    pub(crate) fn new(sessions: bool) -> Self {
        let data = serde_json::from_str(include_str!("everything.json")).unwrap();
        Self { data: Arc::new(data), states: Arc::default(), changes: broadcast::channel(16).0, asks_back: sessions }
    }

    fn entry(&self, list: &str, name: &str) -> Answer<&Value> {
        let found = self.data[list].as_array().unwrap().iter().find(|entry| entry["name"] == name);
        found.ok_or_else(|| ErrorData::invalid_params(format!("there is no {name}"), None))
    }

    /// What is still to be asked before an answer can be given (SEP-2322); nothing when everything was said.
    fn asks(
        &self,
        entry: &Value,
        responses: Option<&InputResponses>,
        state: Option<&str>,
        able: &ClientCapabilities,
    ) -> Answer<Option<InputRequiredResult>> {
        let Some(rounds) = entry["rounds"].as_array() else { return Ok(None) };
        let name = entry["name"].as_str().unwrap().to_owned();
        let before = match state {
            None => 0,
            Some(state) => match self.states.lock().unwrap().get(state) {
                Some((owner, rounds)) if *owner == name => *rounds,
                _ => return Err(ErrorData::invalid_params("this request state is not one of ours", None)),
            },
        };
        let said = |key: &String| responses.and_then(|all| all.get(key)).is_some_and(Value::is_object);
        let now = before + usize::from(rounds[before].as_object().unwrap().keys().all(said));
        let Some(round) = rounds.get(now) else { return Ok(None) };
        let asked: JsonObject = round.as_object().unwrap().iter().filter_map(|(k, v)| request(v, able, k)).collect();
        let state = (entry["stateful"] == true).then(|| {
            let mut states = self.states.lock().unwrap();
            let state = format!("{name}, round {now}, number {}", states.len());
            states.insert(state.clone(), (name, now));
            state
        });
        Ok(Some(InputRequiredResult::new(Some(made(asked.into())), state)))
    }
}

/// A question in the words of the protocol, if this client can be asked it.
fn request(question: &Value, able: &ClientCapabilities, key: &str) -> Option<(String, Value)> {
    let form = |field: &str| json!({ "type": "object", "properties": { field: {} }, "required": [field] });
    let request = match (question["ask"].as_str(), question["prompt"].as_str()) {
        (Some(message), _) if able.elicitation.is_some() => {
            let field = question["for"].as_str().unwrap();
            let mut form = form(field);
            form["properties"][field]["type"] = if field == "ok" { "boolean" } else { "string" }.into();
            let params = json!({ "mode": "form", "message": message, "requestedSchema": form });
            json!({ "method": "elicitation/create", "params": params })
        }
        (_, Some(prompt)) if able.sampling.is_some() => {
            json!({ "method": "sampling/createMessage", "params": sampling(prompt) })
        }
        (None, None) if able.roots.is_some() => json!({ "method": "roots/list" }),
        _ => return None,
    };
    Some((key.to_owned(), request))
}

fn sampling(prompt: &str) -> Value {
    let message = json!({ "role": "user", "content": { "type": "text", "text": prompt } });
    json!({ "messages": [message], "maxTokens": 100 })
}

/// A type of the protocol from its JSON.
fn made<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A result that needs nothing more.
fn complete<T: serde::de::DeserializeOwned>(mut value: Value) -> T {
    value["resultType"] = "complete".into();
    made(value)
}

fn text(text: impl Into<String>) -> CallToolResult {
    complete(json!({ "content": [{ "type": "text", "text": text.into() }] }))
}

/// `list` with the fields that each entry must have.
fn listed<T: serde::de::DeserializeOwned>(list: &Value) -> Vec<T> {
    let fields = ["name", "uri", "uriTemplate", "mimeType", "arguments", "inputSchema"];
    let described = |entry: &Value| {
        let mut shown: JsonObject =
            fields.iter().filter_map(|f| entry.get(f).map(|v| ((*f).to_owned(), v.clone()))).collect();
        shown.insert("description".into(), format!("For the scenario about {}", entry["name"]).into());
        shown.entry("inputSchema").or_insert_with(|| json!({ "type": "object", "properties": {} }));
        made(shown.into())
    };
    list.as_array().unwrap().iter().map(described).collect()
}

impl ServerHandler for Everything {
    fn get_info(&self) -> ServerConfig {
        let capabilities = json!({
            "tools": { "listChanged": true },
            "prompts": { "listChanged": true },
            "resources": { "subscribe": true },
            "logging": {},
            "completions": {},
        });
        ServerConfig::new(made(capabilities)).with_server_info(Implementation::new("everything", "1"))
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: Context) -> Answer<ListToolsResult> {
        Ok(ListToolsResult::with_all_items(listed(&self.data["tools"])))
    }

    fn get_tool(&self, name: &str) -> Option<rmcp::model::Tool> {
        listed::<rmcp::model::Tool>(&self.data["tools"]).into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: Context) -> Answer<CallToolResponse> {
        let tool = self.entry("tools", &request.name)?;
        let able = context.client_capabilities().unwrap_or_default();
        let (responses, state) = (request.input_responses.as_ref(), request.request_state.as_deref());
        if let Some(asked) = self.asks(tool, responses, state, &able)? {
            return Ok(asked.into());
        }
        if tool["rounds"].is_array() {
            return Ok(text(format!("All was said, and the state is in order: {responses:?}")).into());
        }
        if tool["answer"].is_object() {
            return Ok(complete::<CallToolResult>(tool["answer"].clone()).into());
        }
        self.acts(&request, tool, &able, &context).await.map(Into::into)
    }

    async fn list_prompts(&self, _: Option<PaginatedRequestParams>, _: Context) -> Answer<ListPromptsResult> {
        Ok(ListPromptsResult::with_all_items(listed(&self.data["prompts"])))
    }

    async fn get_prompt(&self, request: GetPromptRequestParams, context: Context) -> Answer<GetPromptResponse> {
        let prompt = self.entry("prompts", &request.name)?;
        let able = context.client_capabilities().unwrap_or_default();
        let (responses, state) = (request.input_responses.as_ref(), request.request_state.as_deref());
        if let Some(asked) = self.asks(prompt, responses, state, &able)? {
            return Ok(asked.into());
        }
        let mut messages = prompt["messages"].to_string();
        for (name, value) in request.arguments.unwrap_or_default() {
            messages = messages.replace(&format!("{{{name}}}"), value.as_str().unwrap());
        }
        let messages: Value = serde_json::from_str(&messages).unwrap();
        Ok(complete::<GetPromptResult>(json!({ "messages": messages })).into())
    }

    async fn list_resources(&self, _: Option<PaginatedRequestParams>, _: Context) -> Answer<ListResourcesResult> {
        Ok(ListResourcesResult::with_all_items(listed(&self.data["resources"])))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Answer<ListResourceTemplatesResult> {
        Ok(ListResourceTemplatesResult::with_all_items(listed(&json!([self.data["template"]]))))
    }

    async fn read_resource(&self, request: ReadResourceRequestParams, _: Context) -> Answer<ReadResourceResponse> {
        let uri = &request.uri;
        let fixed = self.data["resources"].as_array().unwrap().iter().find(|entry| entry["uri"] == uri.as_str());
        let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        let mut contents = match (fixed, id) {
            (Some(entry), _) => {
                let mut contents = entry["contents"].clone();
                contents["mimeType"] = entry["mimeType"].clone();
                contents
            }
            (None, Some(id)) => {
                let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
                json!({ "mimeType": "application/json", "text": data.to_string() })
            }
            (None, None) => {
                return Err(ErrorData::invalid_params("Resource not found", Some(json!({ "uri": uri }))));
            }
        };
        contents["uri"] = uri.as_str().into();
        Ok(complete::<ReadResourceResult>(json!({ "contents": [contents] })).into())
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: Context) -> Answer<()> {
        Ok(())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: Context) -> Answer<()> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: Context) -> Answer<()> {
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Answer<()> {
        let mut changes = self.changes.subscribe();
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = context.cancelled() => return Ok(()),
            };
            // The sink itself holds back what was not asked for.
            let _ = match change {
                Ok(Change::Tools) => context.sink().notify_tool_list_changed().await,
                Ok(Change::Prompts) => context.sink().notify_prompt_list_changed().await,
                Err(_) => return Ok(()),
            };
        }
    }
}

impl Everything {
    /// The tools that do something.
    async fn acts(
        &self,
        request: &CallToolRequestParams,
        tool: &Value,
        able: &ClientCapabilities,
        context: &Context,
    ) -> Answer<CallToolResult> {
        let argument = |name: &str| request.arguments.as_ref().and_then(|all| all.get(name)).and_then(Value::as_str);
        let failed = |error: rmcp::ServiceError| ErrorData::internal_error(error.to_string(), None);
        match &*request.name {
            "test_tool_with_logging" => {
                for words in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                    let note = made(json!({ "level": "info", "data": words }));
                    context.peer.notify_logging_message(note).await.map_err(failed)?;
                    sleep(APART).await;
                }
            }
            "test_logging_tool" => {
                if let Some(level) = context.meta.log_level() {
                    let note = made(json!({ "level": level, "data": "Somebody wants to know" }));
                    context.peer.notify_logging_message(note).await.map_err(failed)?;
                }
            }
            "test_tool_with_progress" => {
                for progress in [0, 50, 100] {
                    if let Some(token) = context.meta.get_progress_token() {
                        let note = json!({ "progressToken": token, "progress": progress, "total": 100 });
                        context.peer.notify_progress(made(note)).await.map_err(failed)?;
                    }
                    sleep(APART).await;
                }
            }
            "test_reconnection" => sleep(APART).await,
            "test_missing_capability" if able.sampling.is_none() => {
                return Err(ErrorData {
                    code: ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY,
                    message: Cow::Borrowed("this tool needs sampling"),
                    data: Some(json!({ "requiredCapabilities": { "sampling": {} } })),
                });
            }
            "test_trigger_tool_change" => drop(self.changes.send(Change::Tools)),
            "test_trigger_prompt_change" => drop(self.changes.send(Change::Prompts)),
            // Without a session the answer would find nobody who waits for it.
            _ if !self.asks_back && (tool["form"].is_object() || tool["name"] == "test_sampling") => {
                return Err(ErrorData::internal_error("this server cannot ask its client back", None));
            }
            "test_sampling" => {
                let params = made(sampling(argument("prompt").unwrap_or_default()));
                let said = context.peer.create_message(params).await.map_err(failed)?;
                return Ok(text(format!("LLM response: {}", json!(said)["content"]["text"])));
            }
            _ if tool["form"].is_object() => {
                let message = argument("message").unwrap_or("Please fill in this form");
                let params = json!({ "mode": "form", "message": message, "requestedSchema": tool["form"] });
                let said = context.peer.create_elicitation(made(params)).await.map_err(failed)?;
                return Ok(text(format!("Elicitation completed: {}", json!(said))));
            }
            _ => {}
        }
        Ok(text(format!("{} is through", request.name)))
    }
}
