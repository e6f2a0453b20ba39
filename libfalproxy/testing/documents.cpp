#include "documents.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

namespace falproxy::inline v0::testing {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// The schema of a JSON body, wherever it is; null: none.
const json* json_schema(const json* holder) {
  for (const char* name : {"content", "application/json", "schema"}) {
    if (holder == nullptr || !holder->is_object()) return nullptr;
    const auto found = holder->find(name);
    holder = found == holder->end() ? nullptr : &*found;
  }
  return holder;
}

const json* member(const json* holder, const char* name) {
  if (holder == nullptr || !holder->is_object()) return nullptr;
  const auto found = holder->find(name);
  return found == holder->end() ? nullptr : &*found;
}

const json& anything() {
  static const json empty = json::object();
  return empty;
}

std::optional<std::string> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

}  // namespace

Result<Model> Model::read(std::string text) {
  const auto refuse = [](const char* what) { return Error{ErrorKind::invalid_document, what}; };
  Model model;
  auto document = std::make_shared<const json>(json::parse(text, nullptr, false));
  const json* paths = member(document.get(), "paths");
  if (paths == nullptr || !paths->is_object())
    return refuse("is no OpenAPI document: it has no paths");
  for (const auto& [path, operations] : paths->items()) {
    if (const json* post = member(&operations, "post")) {
      model.endpoint_ = path.substr(1);
      model.input_ = json_schema(member(post, "requestBody"));
    }
  }
  if (model.input_ == nullptr) return refuse("has no POST with a JSON body");
  const std::string result_path = "/" + model.endpoint_ + "/requests/{request_id}";
  const json* get = member(member(paths, result_path.c_str()), "get");
  model.output_ = json_schema(member(member(get, "responses"), "200"));
  if (model.output_ == nullptr) model.output_ = &anything();
  model.document_ = std::move(document);
  model.text_ = Body(std::move(text));
  return model;
}

const nlohmann::json& Model::resolve(const nlohmann::json& schema) const {
  const json* at = &schema;
  for (int depth = 0; depth < 16; ++depth) {
    const json* reference = member(at, "$ref");
    if (reference == nullptr) {
      const json* wrapped =
          member(at, "allOf");  // `allOf: [{$ref}]` carries a description beside a reference
      if (wrapped == nullptr || wrapped->size() != 1 || at->contains("properties")) return *at;
      at = &(*wrapped)[0];
      continue;
    }
    const std::string* text = reference->get_ptr<const std::string*>();
    if (text == nullptr || !text->starts_with("#/components/schemas/")) return anything();
    at = member(member(member(document_.get(), "components"), "schemas"), text->substr(21).c_str());
    if (at == nullptr) return anything();
  }
  return anything();
}

Result<Models> Models::load(bool bundled, const std::string& folder) {
  Models models;
  const auto add = [&](std::string text, const std::string& name) -> Result<Done> {
    Result<Model> model = Model::read(std::move(text));
    if (!model) {
      model.error().message = name + " " + model.error().message;
      return model.error();
    }
    std::string endpoint = model->endpoint();
    models.models_.insert_or_assign(std::move(endpoint), *std::move(model));
    return Done{};
  };
  if (bundled) {
    for (const std::string_view text : bundled_documents()) {
      if (auto added = add(std::string(text), "a bundled document"); !added) return added.error();
    }
  }
  if (folder.empty()) return models;
  std::error_code error;
  fs::directory_iterator files(folder, error);
  if (error) {
    return Error{ErrorKind::invalid_settings,
                 "the folder of documents " + folder + " cannot be read: " + error.message()};
  }
  for (const fs::directory_entry& entry : files) {
    if (entry.path().extension() != ".json") continue;
    std::optional<std::string> text = read_file(entry.path());
    if (!text) {
      return Error{ErrorKind::invalid_settings, entry.path().string() + " cannot be read"};
    }
    if (auto added = add(*std::move(text), entry.path().string()); !added) return added.error();
  }
  return models;
}

const Model* Models::find(std::string_view endpoint) const {
  const auto found = models_.find(endpoint);
  return found == models_.end() ? nullptr : &found->second;
}

}  // namespace falproxy::inline v0::testing
