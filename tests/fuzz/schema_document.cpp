// Input: an OpenAPI document, and a value for its inputs.
#include <algorithm>
#include <memory>
#include <string>

#include "falproxy/profile.hpp"
#include "falproxy/schema.hpp"
#include "json/access.hpp"
#include "law.hpp"

using namespace falproxy;
using namespace falproxy::schema;
using fuzz::hold;

namespace {

void check_field(const Field& field, const Json& value) {
  if (const auto fault = check(field, value, field.name)) {
    hold(fault->field.starts_with(field.name), "a fault is within the field");
    hold(fault->message.starts_with("'" + fault->field + "' "), "a fault names its place");
  }
  if (value.is_null() && field.nullable)
    hold(!check(field, value, field.name), "null fits what is nullable");
  for (const Json& choice : field.allowed) {
    if (!field.branches.empty() || choice.is_null()) continue;
    // A listed value may break a bound beside the list, or be of another type, never the list.
    if (const auto fault = check(field, choice, field.name);
        fault && fault->kind != ErrorKind::invalid_type)
      hold(fault->message.find("one of") == std::string::npos,
           "what is listed is not refused for the list");
  }
  hold(field.branches.size() != 1, "one branch is no branch");
}

profile::Profile profile_of(const ModelSchema& model) {
  return profile::make_profile(std::make_shared<const ModelSchema>(model));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parts = fuzz::parts(fuzz::text(data, size), 2);
  const auto model = analyze(parts[0]);
  if (!model) {
    hold(model.error().kind == ErrorKind::invalid_document, "a refusal is invalid_document");
    hold(!model.error().message.empty(), "a refusal has words");
    hold(model.error().field.empty() || model.error().field.front() == '/',
         "a refusal has a JSON Pointer");
    return 0;
  }
  const Json value = Json::parse(parts[1]).value_or(Json());
  for (const Field& input : model->inputs) {
    check_field(input, value);
    if (input.default_value) check_field(input, *input.default_value);
    hold(model->input(input.name) != nullptr, "every input is found by its name");
  }
  const profile::Profile profile = profile_of(*model);
  for (const profile::MediaInput& file : profile.media) {
    hold(model->input(file.name) != nullptr, "every place for a file is an input");
    hold(model->input(file.name)->required == file.required,
         "a place for a file is required where the input is");
  }
  hold(std::ranges::is_partitioned(profile.media, &profile::MediaInput::required),
       "required files come first");
  for (const profile::RoleInput& input : profile.roles)
    hold(input.path.find(input.field->name) != std::string::npos, "a path ends with its input");

  (void)profile::to_json(profile::describe(profile)).dump();
  (void)profile::to_json(profile).dump();
  const std::string form = profile::inputs_to_json(profile).dump();
  hold(diff(*model, *model).empty(), "a document does not differ from itself");
  const auto sorted = analyze(dump_raw(*parse_raw(parts[0], {64, 200'000})));
  hold(sorted.has_value(), "what is read can be read when its keys are sorted");
  hold(profile::inputs_to_json(profile_of(*sorted)).dump() == form,
       "the order of keys changes nothing");
  return 0;
}
