// The way through an OpenAPI document: to the one POST, what it takes, and what its result holds.

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/fmt.hpp"
#include "falproxy/schema.hpp"
#include "json/access.hpp"
#include "schema/reader.hpp"

namespace falproxy::inline v0::schema {
namespace {

using Raw = nlohmann::json;

Error fault(std::string message, std::string pointer) {
  return Error{ErrorKind::invalid_document, std::move(message), std::move(pointer)};
}

// What fal says of the model beside its schemas.
std::string metadata(const Raw& document, std::string_view name) {
  const Raw::json_pointer pointer(fmt::format("/info/x-fal-metadata/{}", name));
  if (!document.contains(pointer) || !document[pointer].is_string()) return {};
  return document[pointer].get<std::string>();
}

struct Post {
  std::string endpoint;
  Place operation;
};

Result<Post> find_post(const Place& document, std::string_view endpoint) {
  const auto paths = Reader::member(document, "paths");
  if (!paths || !paths->node->is_object()) return fault("the document has no 'paths'", "/paths");
  std::vector<Post> posts;
  for (const auto& [path, node] : paths->node->items()) {
    const auto post = Reader::member({&node, step_into(paths->pointer, path)}, "post");
    if (!post) continue;
    const std::string id = path.starts_with('/') ? path.substr(1) : path;
    if (id == endpoint) return Post{id, *post};
    posts.push_back(Post{id, *post});
  }
  if (posts.empty()) return fault("the document describes no POST", "/paths");
  if (posts.size() > 1) {
    return fault(endpoint.empty()
                     ? "the document describes several POSTs, and no endpoint was named"
                     : fmt::format("the document describes no POST to '{}'", endpoint),
                 "/paths");
  }
  return std::move(posts.front());
}

// The JSON one where there is a choice.
std::optional<Place> schema_in(const Place& content) {
  if (!content.node->is_object()) return std::nullopt;
  std::optional<Place> chosen;
  for (const auto& [type, node] : content.node->items()) {
    const auto schema = Reader::member({&node, step_into(content.pointer, type)}, "schema");
    if (schema && (!chosen || type.starts_with("application/json"))) chosen = schema;
  }
  return chosen;
}

// Swagger 2 has the body among the parameters.
std::optional<Place> body_parameter(const Reader& reader, const Place& operation) {
  const auto parameters = Reader::member(operation, "parameters");
  if (!parameters || !parameters->node->is_array()) return std::nullopt;
  for (std::size_t i = 0; i < parameters->node->size(); ++i) {
    const auto parameter =
        reader.follow({&(*parameters->node)[i], step_into(parameters->pointer, std::to_string(i))});
    if (!parameter) continue;
    const auto in = Reader::member(*parameter, "in");
    if (in && *in->node == "body") return Reader::member(*parameter, "schema");
  }
  return std::nullopt;
}

Result<Place> find_body(const Reader& reader, const Place& operation) {
  std::optional<Place> schema;
  if (const auto body = Reader::member(operation, "requestBody")) {
    const auto resolved = reader.follow(*body);
    if (!resolved) return fault("the reference leads nowhere, or in a circle", body->pointer);
    if (const auto content = Reader::member(*resolved, "content")) schema = schema_in(*content);
    if (!schema) return fault("the request body has no schema", resolved->pointer);
  } else {
    schema = body_parameter(reader, operation);
    if (!schema) return fault("the POST describes no request body", operation.pointer);
  }
  const auto resolved = reader.follow(*schema);
  if (!resolved) return fault("the reference leads nowhere, or in a circle", schema->pointer);
  return *resolved;
}

// What two shapes of a body call by one name takes what either of them takes.
void widen(Field& field, const Field& other, RuleBook& rules) {
  if (field.written == other.written) return;
  const std::shared_ptr<const Rule> either = rules.either(field.written, other.written);
  Field wide;
  wide.name = field.name;
  wide.title = field.title;
  wide.description = field.description;
  wide.default_value = field.default_value;
  wide.nullable = field.nullable || other.nullable;
  wide.branches = {std::move(field), other};
  field = std::move(wide);
  field.written = either;
}

// Where a body or a result may have several shapes: the properties of each, required where each of
// them requires it.
std::vector<Field> all_properties(Field&& object, RuleBook& rules) {
  std::vector<Field> all = std::move(object.properties);
  const std::size_t own = all.size();
  for (Field& branch : object.branches) {
    const bool first = &branch == &object.branches.front();
    const std::vector<Field> more = all_properties(std::move(branch), rules);
    for (auto mine = all.begin() + static_cast<std::ptrdiff_t>(own); mine != all.end(); ++mine) {
      const auto same = std::ranges::find(more, mine->name, &Field::name);
      mine->required = mine->required && same != more.end() && same->required;
    }
    for (const Field& field : more) {
      const auto mine = std::ranges::find(all, field.name, &Field::name);
      if (mine == all.end()) {
        all.push_back(field);
        all.back().required = first && field.required;
      } else if (static_cast<std::size_t>(mine - all.begin()) >= own) {
        const bool required = mine->required;
        widen(*mine, field, rules);
        mine->required = required;
      }
    }
  }
  return all;
}

std::optional<Place> success_schema(const Reader& reader, const Place& operation) {
  const auto responses = Reader::member(operation, "responses");
  if (!responses) return std::nullopt;
  for (const std::string_view status : {"200", "201", "2XX", "default"}) {
    const auto response = Reader::member(*responses, status);
    const auto resolved = response ? reader.follow(*response) : std::nullopt;
    if (!resolved) continue;
    if (const auto content = Reader::member(*resolved, "content")) return schema_in(*content);
    return Reader::member(*resolved, "schema");  // Swagger 2
  }
  return std::nullopt;
}

std::optional<Place> find_result(const Reader& reader, const Place& document,
                                 std::string_view endpoint) {
  constexpr std::string_view ending = "/requests/{request_id}";
  const auto paths = Reader::member(document, "paths");
  std::optional<Place> get;
  for (const auto& [path, node] : paths->node->items()) {
    if (!path.ends_with(ending)) continue;
    const auto here = Reader::member({&node, step_into(paths->pointer, path)}, "get");
    const bool own = path == fmt::format("/{}{}", endpoint, ending);
    if (here && (!get || own)) get = here;
  }
  return get ? success_schema(reader, *get) : std::nullopt;
}

// A result that cannot be read does no harm: what fal answers is looked at as it comes.
std::vector<Field> read_outputs(const Raw& document, const AnalyzeLimits& limits,
                                const std::string& endpoint) {
  Reader reader(document, limits);
  const auto place = find_result(reader, {&document, ""}, endpoint);
  if (!place) return {};
  Result<Field> result = reader.read(*place);
  if (!result) return {};
  RuleBook no_rules(document);
  return all_properties(std::move(*result), no_rules);
}

}  // namespace

Result<ModelSchema> analyze(std::string_view document, std::string_view endpoint,
                            const AnalyzeLimits& limits) {
  if (document.size() > limits.max_bytes) {
    return fault(
        fmt::format("the document has {} bytes, more than {}", document.size(), limits.max_bytes),
        "");
  }
  const Result<Raw> parsed = parse_raw(document, {limits.max_depth, limits.max_values});
  if (!parsed) return fault("the document is not usable JSON: " + parsed.error().message, "");
  const Place root{&*parsed, ""};
  if (!root.node->is_object()) return fault("the document is not a JSON object", "");

  const std::string own_name =
      endpoint.empty() ? metadata(*root.node, "endpointId") : std::string(endpoint);
  Result<Post> post = find_post(root, own_name);
  if (!post) return std::move(post).error();
  RuleBook rules(*root.node);
  Reader reader(*root.node, limits, &rules);
  const Result<Place> body = find_body(reader, post->operation);
  if (!body) return body.error();
  Result<Field> input = reader.read(*body);
  if (!input) return std::move(input).error();
  if (input->types.any() && !input->types.object) {
    return fault("the request body is not an object", body->pointer);
  }

  ModelSchema model;
  model.endpoint = std::move(post->endpoint);
  model.category = metadata(*root.node, "category");
  model.thumbnail = metadata(*root.node, "thumbnailUrl");
  model.inputs = all_properties(std::move(*input), rules);
  model.outputs = read_outputs(*root.node, limits, model.endpoint);
  return model;
}

const FalLimits& Field::limits() const noexcept {
  static const FalLimits none;
  return fal_limits == nullptr ? none : *fal_limits;
}

const Field* Field::property(std::string_view property_name) const noexcept {
  const auto found = std::ranges::find(properties, property_name, &Field::name);
  return found == properties.end() ? nullptr : &*found;
}

const Field* ModelSchema::input(std::string_view name) const noexcept {
  const auto found = std::ranges::find(inputs, name, &Field::name);
  return found == inputs.end() ? nullptr : &*found;
}

}  // namespace falproxy::inline v0::schema
