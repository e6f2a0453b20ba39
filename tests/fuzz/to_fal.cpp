// Input: an OpenAPI document, an image request, what a models file says of the model.
#include <algorithm>
#include <string>

#include "falproxy/openai.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/test_doubles.hpp"
#include "json/access.hpp"
#include "law.hpp"

using namespace falproxy;
using fuzz::hold;

namespace {

// Only fields that the document has, only values that it allows.
void check_input(const plan::JobInput& job, const schema::ModelSchema& model) {
  for (const std::string_view name : job.input.keys()) {
    const schema::Field* field = model.input(name);
    hold(field != nullptr, "only fields that the document has are sent");
    hold(!schema::check(*field, *job.input.find(name), name),
         "only values that the document allows are sent");
  }
  for (const schema::Field& field : model.inputs) {
    hold(!field.required || job.input.find(field.name).has_value(), "what is required is sent");
  }
  for (const plan::FileSlot& slot : job.slots)
    hold(model.input(slot.property) != nullptr, "a picture stands in a field that there is");
  hold(job.images >= 1, "a job brings a picture");
}

// A size that the model takes exactly is sent exactly.
void check_size(const Wish& request, const schema::ModelSchema& model,
                const ModelSettings& settings, const plan::Plan& plan) {
  if (request.size.kind != SizeWish::Kind::pixels || !settings.defaults.empty() ||
      !settings.overrides.empty())
    return;
  for (const auto& [name, value] : request.native) {
    if (model.input(name) != nullptr) return;  // may be a size of its own
  }
  const schema::Field* size = model.input("image_size");
  if (size == nullptr || size->limits() != schema::FalLimits{}) return;
  const auto has_sides = [](const schema::Field& shape) {
    return shape.types.object && shape.property("width") != nullptr &&
           shape.property("height") != nullptr && shape.limits() == schema::FalLimits{} &&
           shape.property("width")->limits() == schema::FalLimits{} &&
           shape.property("height")->limits() == schema::FalLimits{};
  };
  if (!std::ranges::any_of(size->branches, has_sides) && !has_sides(*size)) return;
  const Json exact = Json::object({{"width", Json::integer(request.size.width)},
                                   {"height", Json::integer(request.size.height)}});
  if (schema::check(*size, exact, "image_size")) return;
  for (const plan::JobInput& job : plan.jobs) {
    const auto sent = job.input.find("image_size");
    if (sent && sent->is_object())
      hold(*sent == exact, "a size that the model takes exactly is sent exactly");
  }
}

std::string bytes_of(const plan::Plan& plan) {
  std::string bytes = plan::explain(plan).dump() + plan::header_value(plan.notes);
  for (const plan::JobInput& job : plan.jobs) bytes += job.input.dump();
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const testing::PlainCodecs codecs;
  const auto parts = fuzz::parts(fuzz::text(data, size), 3);
  const auto profile = profile::read_profile(parts[0]);
  const bool edit = parts[1].find("images") != std::string_view::npos;
  const auto intent = edit ? Intent::edit : Intent::generation;
  const auto request = openai::parse_json(intent, parts[1], {}, codecs);
  if (!profile || !request) return 0;
  const schema::ModelSchema& model = *(*profile)->schema;
  ModelSettings settings;
  if (const auto models = parse_models_file(parts[2], "models.json"); models && !models->empty())
    settings = models->begin()->second;

  plan::Options options;
  options.strict_parameters = size % 2 == 1;
  const auto plan = plan::make_plan(*request, **profile, settings, options);
  const auto again = plan::make_plan(*request, **profile, settings, options);
  hold(plan.has_value() == again.has_value(), "the same input is the same verdict");
  if (!plan) {
    hold(!plan.error().message.empty(), "a refusal has words");
    hold(plan.error() == again.error(), "the same input is the same refusal");
    return 0;
  }
  hold(bytes_of(*plan) == bytes_of(*again), "the same input is the same bytes");
  hold(!plan->jobs.empty() && plan->jobs.size() <= 10,
       "there are jobs, and no more than pictures may be");
  for (const plan::JobInput& job : plan->jobs) {
    check_input(job, model);
    const std::vector<Body> addresses(request->images.size(), Body("https://example.com/a.png"));
    const Body body = plan::render(job, addresses, Body("https://example.com/m.png"));
    hold(Json::parse(body.str()).has_value(), "a body is JSON");
  }
  check_size(*request, model, settings, *plan);
  const std::string header = plan::header_value(plan->notes);
  hold(header.size() <= 1024, "the header of notes is short");
  hold(std::ranges::all_of(header, [](char c) { return c >= ' ' && c <= '~'; }),
       "the header of notes is printable ASCII");
  return 0;
}
