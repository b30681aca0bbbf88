//! Lists that come in pages: Google hands out a `nextPageToken`, and the next request shows it as `pageToken`.

use futures_core::Stream;
use futures_util::{TryStreamExt, stream};
use serde_json::Value;

use super::{Call, RestError};

impl Call {
    /// The pages of a list, each fetched when it is asked for. A failure ends the stream.
    pub fn pages(self) -> impl Stream<Item = Result<Value, RestError>> + Send {
        stream::try_unfold(Some((self, None::<String>)), |state| async move {
            let Some((call, shown)) = state else { return Ok(None) };
            let request = match &shown {
                Some(token) => call.clone().query("pageToken", token),
                None => call.clone(),
            };
            let page: Value = request.send().await?;
            let next = page.get("nextPageToken").and_then(Value::as_str).filter(|token| !token.is_empty());
            if next.is_some() && next == shown.as_deref() {
                return Err(RestError::Nonsense("the next page is the one that was just sent"));
            }
            let next = next.map(|token| (call, Some(token.to_owned())));
            Ok(Some((page, next)))
        })
    }

    /// The entries of a list, page after page: those under `field` of each page (`files`, `messages`, `items`). A page
    /// without the field is an empty one, as Google sends it.
    pub fn items(self, field: &str) -> impl Stream<Item = Result<Value, RestError>> + Send {
        let field = field.to_owned();
        self.pages()
            .map_ok(move |mut page| {
                let entries = match page.get_mut(&field).map(Value::take) {
                    Some(Value::Array(entries)) => entries,
                    _ => Vec::new(),
                };
                stream::iter(entries.into_iter().map(Ok))
            })
            .try_flatten()
    }
}
