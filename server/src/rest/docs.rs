//! The description of the API: `/openapi.json` for programs, and `/docs`, a page for people made from the same document.
//!
//! Invariant: both are made once, since anybody may ask for them as often as they like. The page needs nothing but itself, no
//! script and no network, and a browser is told to allow it no more. All text in it is escaped, though all of it is ours.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;\
color:#1b1f24;background:#fff}h1,h2{line-height:1.2}details{border:1px solid #8884;border-radius:6px;margin:.4rem 0;\
padding:.3rem .7rem}summary{cursor:pointer}code{font:14px ui-monospace,monospace}b.m{display:inline-block;width:4.5rem;\
font:bold 13px ui-monospace,monospace;text-transform:uppercase}table{border-collapse:collapse;width:100%}td{vertical-align:\
top;padding:.2rem .6rem .2rem 0;border-top:1px solid #8883}.s{opacity:.75}@media(prefers-color-scheme:dark){body{color:\
#e6e6e6;background:#16181c}a{color:#8ab4f8}}";

/// Nothing may be loaded or run; the page's own style may be used.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The description in both forms.
pub struct Description {
    json: Bytes,
    page: Bytes,
    /// Another one for another description.
    tag: HeaderValue,
}

impl Description {
    /// That of `api`.
    pub fn of(api: &OpenApi) -> Self {
        let value = serde_json::to_value(api).unwrap_or_default();
        let (json, page) = (value.to_string(), html(&value));
        let mut hasher = DefaultHasher::new();
        (&json, &page).hash(&mut hasher);
        let tag = HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish()));
        Self { json: json.into(), page: page.into(), tag: tag.unwrap_or_else(|_| HeaderValue::from_static("\"\"")) }
    }

    /// `/openapi.json`, for a request with these headers.
    pub fn json(&self, asked: &HeaderMap) -> Response {
        self.answer(asked, [(CONTENT_TYPE, "application/json")], &self.json)
    }

    /// `/docs`, for a request with these headers.
    pub fn page(&self, asked: &HeaderMap) -> Response {
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        self.answer(asked, headers, &self.page)
    }

    /// `body`, or that it is the one which the client has (RFC 9110 §13.1.2).
    fn answer<const N: usize>(
        &self,
        asked: &HeaderMap,
        headers: [(axum::http::HeaderName, &'static str); N],
        body: &Bytes,
    ) -> Response {
        let tag = [(ETAG, self.tag.clone())];
        if asked.get(IF_NONE_MATCH) == Some(&self.tag) {
            return (StatusCode::NOT_MODIFIED, tag).into_response();
        }
        (tag, headers, body.clone()).into_response()
    }
}

fn html(api: &Value) -> String {
    let mut page = String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
    let title = escaped(text(&api["info"]["title"]));
    _ = write!(
        page,
        "<meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style><h1>{title} {}</h1><p>{} \
        The same for programs: <a href=\"/openapi.json\">/openapi.json</a>.</p>",
        escaped(text(&api["info"]["version"])),
        escaped(text(&api["info"]["description"])),
    );
    let operations = operations(api);
    let mut tags: Vec<&str> = Vec::new();
    for (tag, ..) in &operations {
        if !tags.contains(tag) {
            tags.push(tag);
        }
    }
    for tag in tags {
        _ = write!(page, "<h2>{}</h2>", escaped(tag));
        for (_, method, path, operation) in operations.iter().filter(|(of, ..)| *of == tag) {
            describe(&mut page, method, path, operation);
        }
    }
    page.push_str("<h2>Bodies</h2>");
    for (name, schema) in object(&api["components"]["schemas"]) {
        describe_schema(&mut page, name, schema);
    }
    page.push_str("</html>");
    page
}

/// Tag, method, path and description of every operation, in the order of the document.
fn operations(api: &Value) -> Vec<(&str, &str, &str, &Value)> {
    let paths = object(&api["paths"]).flat_map(|(path, methods)| object(methods).map(move |of| (path, of)));
    let tagged = paths.map(|(path, (method, operation))| (text(&operation["tags"][0]), method, path, operation));
    tagged.collect()
}

fn describe(page: &mut String, method: &str, path: &str, operation: &Value) {
    _ = write!(
        page,
        "<details><summary><b class=\"m\">{}</b> <code>{}</code> <span class=\"s\">{}</span></summary><p>{}</p><table>",
        escaped(method),
        escaped(path),
        escaped(text(&operation["summary"])),
        escaped(text(&operation["description"])),
    );
    for parameter in list(&operation["parameters"]) {
        let kind = format!("{} ({})", text(&parameter["name"]), text(&parameter["in"]));
        row(page, &kind, text(&parameter["description"]));
    }
    for (kind, body) in object(&operation["requestBody"]["content"]) {
        cells(page, &escaped(&format!("body, {kind}")), &shape(&body["schema"]));
    }
    for (status, response) in object(&operation["responses"]) {
        let mut told = escaped(text(&response["description"]));
        for (_, body) in object(&response["content"]) {
            _ = write!(told, " {}", shape(&body["schema"]));
        }
        cells(page, &escaped(status), &told);
    }
    page.push_str("</table></details>");
}

fn describe_schema(page: &mut String, name: &str, schema: &Value) {
    let (name, told) = (escaped(name), escaped(text(&schema["description"])));
    _ = write!(
        page,
        "<details id=\"{name}\"><summary><code>{name}</code></summary><p>{told} {}</p><table>",
        shape(schema)
    );
    let required: Vec<&str> = list(&schema["required"]).map(text).collect();
    for (member, of) in object(&schema["properties"]) {
        let must = if required.contains(&member) { ", required" } else { "" };
        let told = format!("{}{must}. {}", shape(of), escaped(text(&of["description"])));
        cells(page, &format!("<code>{}</code>", escaped(member)), &told);
    }
    page.push_str("</table></details>");
}

/// What a schema takes, in a few words, with links to those that have names.
fn shape(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let name = escaped(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    for of in ["oneOf", "anyOf", "allOf"] {
        if schema[of].is_array() {
            return list(&schema[of]).map(shape).collect::<Vec<_>>().join(" or ");
        }
    }
    if schema["enum"].is_array() {
        let values: Vec<_> = list(&schema["enum"]).map(|value| escaped(&value.to_string())).collect();
        return values.join(", ");
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        kind => text(kind).to_owned(),
    };
    if schema["items"].is_object() {
        format!("{} of {}", escaped(&kind), shape(&schema["items"]))
    } else {
        escaped(&kind)
    }
}

fn row(page: &mut String, name: &str, told: &str) {
    cells(page, &format!("<code>{}</code>", escaped(name)), &escaped(told));
}

/// A row of what is HTML already.
fn cells(page: &mut String, name: &str, told: &str) {
    _ = write!(page, "<tr><td>{name}</td><td>{told}</td></tr>");
}

fn object(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flat_map(Map::iter);
    members.map(|(name, value)| (name.as_str(), value))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_document_says_is_text_on_the_page() {
        let evil = "<script>alert(1)</script>\"'&";
        let operation = json!({
            "tags": [evil], "summary": evil, "description": evil,
            "parameters": [{"name": evil, "in": evil, "description": evil}],
            "requestBody": {"content": {"a/b": {"schema": {"$ref": format!("#/components/schemas/{evil}")}}}},
            "responses": {"200": {"description": evil, "content": {"a/b": {"schema": {"enum": [evil]}}}}},
        });
        let schema = json!({"description": evil, "type": evil, "properties": {evil: {"type": "array", "items": {"type": evil}}}});
        let api = json!({
            "info": {"title": evil, "version": evil, "description": evil},
            "paths": {evil: {"get": operation}}, "components": {"schemas": {evil: schema}},
        });
        let page = html(&api);
        assert!(!page.contains("<script") && !page.contains("alert(1)</script"), "{page}");
        assert!(page.matches("&lt;script&gt;").count() > 12, "{page}");
    }
}
