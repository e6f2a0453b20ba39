#include <algorithm>
#include <istream>
#include <iterator>
#include <ostream>
#include <utility>

#include "base/fmt.hpp"
#include "commands/commands.hpp"
#include "commands/documents.hpp"
#include "commands/table.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/options.hpp"
#include "falproxy/schema.hpp"

namespace falproxy::app {
namespace {

constexpr std::string_view plain_request = R"({"prompt": "a lighthouse at dusk"})";
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

Result<std::string> read_request(const CommandLine& line, std::istream& in) {
  if (line.request_file.empty()) return std::string(plain_request);
  if (line.request_file != "-") return read_file(line.request_file);
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

std::string plan_text(const plan::Plan& plan) {
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
  Result<Wish> request = openai::parse_json(line.edit ? Intent::edit : Intent::generation, *body,
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
  show(line, surroundings, plan::explain(*plan), plan_text(*plan));
  return ExitStatus::done;
}

}  // namespace falproxy::app
