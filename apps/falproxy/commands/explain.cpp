#include <algorithm>
#include <istream>
#include <iterator>
#include <ostream>
#include <utility>

#include "base/fmt.hpp"
#include "commands/commands.hpp"
#include "commands/documents.hpp"
#include "commands/table.hpp"
#include "falproxy/budgets.hpp"
#include "falproxy/memory_store.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/openai_audio.hpp"
#include "falproxy/openai_videos.hpp"
#include "falproxy/options.hpp"
#include "falproxy/schema.hpp"
#include "model_list.hpp"

namespace falproxy::app {
namespace {

constexpr const char* placeholder = "not-needed-to-explain";

// The model that --schema or --endpoint describes.
struct Described {
  fal::EndpointId endpoint;
  std::optional<std::string> document;
};

Result<Described> described_model(const CommandLine& line) {
  if (!line.endpoint.empty()) {
    Result<fal::EndpointId> endpoint = fal::EndpointId::parse(line.endpoint);
    if (!endpoint) return std::move(endpoint).error();
    return Described{std::move(*endpoint), std::nullopt};
  }
  Result<std::string> text = read_file(line.schema_file);
  if (!text) return std::move(text).error();
  const Result<schema::ModelSchema> schema = schema::analyze(*text);
  if (!schema) {
    const Error& error = schema.error();
    return Error{error.kind, fmt::format("'{}' cannot be used: {} (at JSON Pointer \"{}\")",
                                         line.schema_file, error.message, error.field)};
  }
  Result<fal::EndpointId> endpoint = fal::EndpointId::parse(schema->endpoint);
  if (!endpoint) return std::move(endpoint).error();
  return Described{std::move(*endpoint), std::move(*text)};
}

// In place of the configured models, the one that was described; MODELS_FILE counts for its name.
void configure_only(Configuration& configuration, const std::string& name, Described model) {
  ModelSettings settings;
  for (CatalogModel& configured : configuration.models) {
    if (configured.name == name) settings = std::move(configured.settings);
  }
  configuration.models = {{name, std::move(model.endpoint), std::nullopt, std::move(settings)}};
  configuration.pinned.clear();
  if (model.document.has_value()) configuration.pinned.emplace(name, std::move(*model.document));
}

bool is_of_speech(const CommandLine& line) {
  return line.api == "transcriptions" || line.api == "translations";
}

std::string plain_request(const CommandLine& line) {
  if (line.api == "speech") return R"({"input": "The lighthouse keeper is asleep."})";
  if (is_of_speech(line)) return R"({"file": "https://example.com/speech.mp3"})";
  return R"({"prompt": "a lighthouse at dusk"})";
}

Result<std::string> read_request(const CommandLine& line, std::istream& in) {
  if (line.request_file.empty()) return plain_request(line);
  if (line.request_file != "-") return read_file(line.request_file);
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

// A request for speech or of it must name its model.
std::string with_model(std::string body, const std::string& model) {
  const Result<Json> json = Json::parse(body);
  if (model.empty() || !json || !json->is_object() || json->find("model")) return body;
  std::vector<std::pair<std::string, Json>> members{{"model", Json::string(model)}};
  for (const auto& [name, value] : json->members()) members.emplace_back(name, value);
  return Json::object(members).dump();
}

// A form's fields, written as JSON; `file` is an address.
Result<Wish> read_transcript(const CommandLine& line, const std::string& body,
                             const RequestLimits& limits) {
  const Result<Json> json = Json::parse(body, limits.json);
  if (!json || !json->is_object()) {
    return Error{ErrorKind::invalid_json,
                 "The request is no JSON object. Write a form's fields as its members, and in "
                 "'file' the address of a sound."};
  }
  std::vector<openai::FormPart> parts;
  for (const auto& [name, value] : json->members()) {
    const auto text = std::make_shared<const std::string>(
        value.as_string() ? std::string(*value.as_string()) : value.dump());
    parts.push_back({.name = std::string(name),
                     .file_name = std::nullopt,
                     .content_type = {},
                     .owner = text,
                     .bytes = *text});
  }
  Result<openai::TranscriptRequest> request =
      openai::parse_transcript(line.api == "translations", std::move(parts), limits);
  if (!request) return std::move(request).error();
  return std::move(request->wish);
}

// `model`: if the request names none; empty: none.
Result<Wish> read_wish(const CommandLine& line, const std::string& body, const std::string& model,
                       const RequestLimits& limits, const Codecs& codecs) {
  if (is_of_speech(line)) return read_transcript(line, with_model(body, model), limits);
  if (line.api == "speech") {
    Result<openai::SpeechRequest> request = openai::parse_speech(with_model(body, model), limits);
    if (!request) return std::move(request).error();
    return std::move(request->wish);
  }
  const Intent intent = line.api == "edits" ? Intent::edit : Intent::generation;
  const Medium makes = line.api == "videos" ? Medium::video : Medium::image;
  Result<Wish> wish = openai::parse_json(intent, body, limits, codecs, nullptr, makes);
  return wish && line.api == "videos" ? openai::as_video(*std::move(wish)) : std::move(wish);
}

std::string plan_text(const plan::Plan& plan, const std::optional<Usd>& estimate) {
  std::vector<std::vector<std::string>> rows{{"FIELD", "FAL", "VALUE", "WHY"}};
  for (const plan::Mapping& mapping : plan.mappings) {
    rows.push_back({mapping.field.empty() ? "-" : mapping.field,
                    mapping.property.empty() ? "-" : mapping.property,
                    mapping.property.empty() ? "" : mapping.value.dump(), mapping.why});
  }
  std::string text = table_text(rows);
  if (!plan.notes.empty()) text += "\nNotes\n";
  for (const plan::Note& note : plan.notes) {
    text += fmt::format("  {}: {}\n", note.field, note.text);
  }
  if (estimate) text += fmt::format("\nEstimate\n  {} USD\n", estimate->to_string());
  const HttpHeaders headers = fal::preference_headers(plan.preferences);
  if (headers.size() > 0) text += "\nHeaders\n";
  for (const auto& [name, value] : headers) text += fmt::format("  {}: {}\n", name, value);
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) {
    text += fmt::format("\nBody{}\n{}\n",
                        plan.jobs.size() == 1 ? std::string() : fmt::format(" {}", i + 1),
                        plan.jobs[i].input.dump(2));
  }
  return text;
}

int refuse(const CommandLine& line, const Surroundings& surroundings, const Error& error,
           const std::string& model) {
  if (line.json) {
    surroundings.out << openai::write_error(error, model) << '\n';
  } else {
    const openai::ErrorRow row = openai::describe(error.kind);
    const std::string field = error.field.empty() ? "" : fmt::format(" on '{}'", error.field);
    surroundings.out << fmt::format("refused with {} {}{}: {}\n", row.status, row.code, field,
                                    error.message);
  }
  return ExitStatus::fault;
}

}  // namespace

int run_explain(const CommandLine& line, const Surroundings& surroundings) {
  const bool described = !line.schema_file.empty() || !line.endpoint.empty();
  Environment otherwise;
  std::optional<Described> model;
  if (described) {
    Result<Described> found = described_model(line);
    if (!found) return fail(surroundings, found.error().message);
    otherwise = {{"CUSTOM_ACCESS_KEY", placeholder},
                 {"AI_KEYS", placeholder},
                 {"SUPPORTED_MODELS",
                  (line.model.empty() ? "model" : line.model) + ":" + found->endpoint.str()}};
    model = std::move(*found);
  }
  std::optional<Configuration> configuration = configured(line, surroundings, otherwise);
  if (!configuration) return ExitStatus::not_understood;
  const Result<std::string> body = read_request(line, surroundings.in);
  if (!body) return fail(surroundings, body.error().message);
  const Settings& settings = configuration->settings;
  Result<Wish> request =
      read_wish(line, *body, line.model.empty() && model.has_value() ? "model" : line.model,
                request_limits(settings), surroundings.codecs);
  if (!request) return refuse(line, surroundings, request.error(), line.model);
  if (!line.model.empty()) request->model = line.model;
  if (model.has_value()) {
    if (!request->model.has_value()) request->model = "model";
    configure_only(*configuration, *request->model, std::move(*model));
  }

  auto documents = Documents::create(surroundings, *configuration, Documents::Cache::used);
  if (!documents) return fail(surroundings, documents.error().message);
  const Result<plan::Plan> plan = (*documents)->plan(*request);
  if (!plan) return refuse(line, surroundings, plan.error(), request->model.value_or(""));
  MemorySpending nothing_spent;
  Budgets budgets({.clock = surroundings.clock, .store = nothing_spent});
  budgets.set_prices(settings.prices);
  show(line, surroundings, explanation_of(*plan, budgets),
       plan_text(*plan, estimate_of(*plan, plan->endpoint, budgets)));
  return ExitStatus::done;
}

}  // namespace falproxy::app
