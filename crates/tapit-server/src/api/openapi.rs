//! `/v1/openapi.json`: what the API is, for programs and for people. The keys come from the table that also parses them.

use axum::Json;
use axum::extract::State;
use tapit_model::{KeyInfo, PROCESS_KEYS, Refusal};
use utoipa::openapi::schema::{
    AdditionalProperties, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi, PartialSchema, ToSchema};

use super::Api;
use super::extract::{Asked, NoQuery};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tapit",
        description = "Apps, their processes and images. Sizes are in GB and vCPU, times in RFC 3339 (UTC). Changes take \
                       words as the command line does and answer with an outcome; whether it has come true, `settled` \
                       tells. Every error answer is a refusal."
    ),
    paths(
        super::status::show,
        show,
        super::apps::list,
        super::apps::create,
        super::apps::show,
        super::apps::set,
        super::apps::delete,
        super::apps::settled,
        super::diff::list,
        super::processes::list,
        super::processes::create,
        super::processes::show,
        super::processes::set,
        super::processes::delete,
        super::processes::restart,
        super::processes::interrupt,
        super::processes::settled,
        super::tasks::list,
        super::tasks::create,
        super::tasks::show,
        super::tasks::stop,
        super::tasks::settled,
        super::exec::start,
        super::usage::list,
        super::metrics::show,
        super::events::list,
        super::logs::read,
        super::images::list,
        super::images::import,
        super::images::pull,
        super::push::push,
        super::images::prune,
        super::images::show,
        super::images::delete,
        super::registries::list,
        super::registries::show,
        super::registries::set,
        super::registries::delete,
    ),
    components(schemas(Refusal)),
    modifiers(&Errors, &Token)
)]
pub(super) struct Description;

/// This document.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "status",
    responses((status = 200, body = inline(OpenApiDocument)))
)]
pub(super) async fn show(State(_): State<Api>, _: Asked<NoQuery>) -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

/// Tells of every operation how it refuses.
struct Errors;

impl Modify for Errors {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let answers = [
            ("400", "the request is wrong"),
            ("403", "not allowed"),
            ("404", "nothing of that name"),
            ("409", "conflicts with the present state"),
            ("413", "the body is too large"),
            ("500", "the operation was tried and failed"),
            ("503", "the server cannot answer now"),
        ];
        let operations = document.paths.paths.values_mut().flat_map(|item| {
            [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete, &mut item.put].into_iter().flatten()
        });
        for operation in operations {
            for (status, description) in answers {
                // Only what is sent with a body can be too large.
                if status == "413" && operation.request_body.is_none() {
                    continue;
                }
                let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Refusal"))).build();
                let answer =
                    ResponseBuilder::new().description(description).content("application/json", content).build();
                operation.responses.responses.insert(status.to_owned(), RefOr::T(answer));
            }
        }
    }
}

/// Tells of the token, which only TCP may want: hence an empty requirement beside it.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
        let requirement = utoipa::openapi::security::SecurityRequirement::new("token", Vec::<String>::new());
        document.security = Some(vec![Default::default(), requirement]);
    }
}

/// The keys of a process on `set`.
pub(super) enum ProcessKeys {}
/// The name and keys of a process on `create`.
pub(super) enum NewProcess {}
/// The key of an app on `set`.
pub(super) enum AppKeys {}
/// The name and image of an app, and the keys of its public process.
pub(super) enum NewApp {}
/// What can be set for a registry.
pub(super) enum RegistryKeys {}
pub(super) enum Interrupt {}
/// The bytes of an archive.
pub(super) enum Archive {}
/// An OpenAPI document, whose schema is the standard's.
pub(super) enum OpenApiDocument {}

/// What a task is made of.
pub(super) enum NewTask {}

macro_rules! schemas {
    ($($type:ty => $schema:expr;)*) => {
        $(impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                Schema::from($schema).into()
            }
        }
        impl ToSchema for $type {})*
    };
}

schemas! {
    ProcessKeys => words(PROCESS_KEYS.iter());
    NewProcess => named(words(creation_keys()), "name of the process");
    NewTask => words(PROCESS_KEYS.iter().filter(|info| info.on_task))
        .property("command", word("what it runs; split as a shell does, and run by one where it has shell operators"))
        .required("command");
    AppKeys => only(ObjectBuilder::new().property("image", word("NAME:TAG; empty clears it")));
    NewApp => named(words(creation_keys()), "name of the app");
    RegistryKeys => only(
        ObjectBuilder::new()
            .property("username", word("of the login; empty clears it"))
            .property("password", word("of the login, or a token; empty clears it"))
            .property("mirror", word("HOST[,HOST] to ask first, in this order; empty clears them"))
            .property("plain_http", word("whether it is spoken to in plain HTTP")),
    );
    Interrupt => only(ObjectBuilder::new().property("count", word("how many instances, 1 when left out")));
    Archive => ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
    OpenApiDocument => ObjectBuilder::new().description(Some("an OpenAPI 3.1 document"));
}

fn creation_keys() -> impl Iterator<Item = &'static KeyInfo> {
    PROCESS_KEYS.iter().filter(|info| info.on_create)
}

/// A value as the command line takes it; numbers and booleans may also be given as such.
fn word(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Number, Type::Boolean]))
        .description(Some(description))
}

/// Keys with their synonyms.
fn words(keys: impl Iterator<Item = &'static KeyInfo>) -> ObjectBuilder {
    let object = keys.fold(ObjectBuilder::new(), |object, info| {
        let object = object.property(info.name, word(info.help));
        info.synonyms
            .iter()
            .fold(object, |object, synonym| object.property(*synonym, word(&format!("the same as {}", info.name))))
    });
    only(object)
}

fn named(object: ObjectBuilder, description: &str) -> ObjectBuilder {
    let name = ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    object.property("name", name).required("name")
}

/// Unknown keys are refused.
fn only(object: ObjectBuilder) -> ObjectBuilder {
    object.additional_properties(Some(AdditionalProperties::FreeForm(false)))
}
