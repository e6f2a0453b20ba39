#include "runs/memo.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fmt.hpp"
#include "json/access.hpp"
#include "runs/gathering.hpp"
#include "runs/pictures.hpp"

namespace falproxy::inline v0::runs {
namespace {

using nlohmann::json;

// The texts of a plan that stand in a memo under their own names.
constexpr std::pair<const char*, std::optional<std::string> plan::Plan::*> texts[] = {
    {"size", &plan::Plan::size},
    {"quality", &plan::Plan::quality},
    {"background", &plan::Plan::background},
    {"output_format", &plan::Plan::output_format}};

bool is_data(const Product& product) {
  return !product.content.empty() && product.content.pieces().front().bytes.starts_with("data:");
}

constexpr Medium media_made[] = {Medium::image, Medium::video, Medium::audio, Medium::mesh};

}  // namespace

std::string to_details(const plan::Plan& plan, ResponseFormat wanted, std::string_view surface) {
  json details = {{"makes", name_of(plan.makes)},
                  {"format", name_of(wanted)},
                  {"n", plan.n},
                  {"places", plan.places}};
  for (const auto& [name, text] : texts) {
    if ((plan.*text).has_value()) details[name] = *(plan.*text);
  }
  if (plan.seconds.has_value()) details["seconds"] = *plan.seconds;
  if (plan.output_format_sent) details["output_format_sent"] = true;
  if (!surface.empty()) details["surface"] = surface;
  return dump_raw(details);
}

int progress_at(const Pace& pace, WallTime now) noexcept {
  if (pace.percent) return *pace.percent;
  // Most of the way in the usual time, and then ever more slowly.
  const std::chrono::duration<double> time = now - pace.since;
  const double share = time.count() / std::max(pace.usual_seconds, 0.1);
  const double done = share < 1 ? 90 * share : 90 + 9 * (1 - 1 / share);
  return std::clamp(static_cast<int>(done), 0, 99);
}

std::string with_pace(const std::string& details, const Pace& pace) {
  Result<json> whole = parse_raw(details);
  if (!whole || !whole->is_object()) return details;
  (*whole)["pace"] = {std::chrono::floor<Milliseconds>(pace.since.time_since_epoch()).count(),
                      pace.usual_seconds};
  if (pace.percent) (*whole)["percent"] = *pace.percent;
  return dump_raw(*whole);
}

std::string with_left_out(const std::string& details, std::size_t left_out) {
  Result<json> whole = details.empty() ? json::object() : parse_raw(details);
  if (!whole || !whole->is_object()) return details;
  (*whole)["left_out"] = left_out;
  return dump_raw(*whole);
}

std::string with_spritesheet(const std::string& details, const std::string& address) {
  constexpr std::size_t longest = 2048;  // a record has room for no more
  Result<json> whole = parse_raw(details);
  if (address.empty() || address.size() > longest || !whole || !whole->is_object()) return details;
  (*whole)["spritesheet"] = address;
  return dump_raw(*whole);
}

Memo memo_of(const RunRecord& record) {
  Memo memo;
  const Result<json> details = parse_raw(record.details);
  plan::Plan& plan = memo.plan;
  plan.n = std::numeric_limits<int>::max();
  if (!details || !details->is_object()) return memo;
  const std::string makes = text_of(*details, "makes");
  for (const Medium medium : media_made) {
    if (name_of(medium) == makes) plan.makes = medium;
  }
  if (text_of(*details, "format") == name_of(ResponseFormat::b64_json))
    plan.response_format = ResponseFormat::b64_json;
  if (const json* n = member_of(*details, "n"))
    plan.n = static_cast<int>(as_integer(*n).value_or(1));
  if (const json* places = member_of(*details, "places"); places != nullptr && places->is_array()) {
    for (const json& place : *places) {
      if (place.is_string()) plan.places.push_back(place.get<std::string>());
    }
  }
  for (const auto& [name, text] : texts) {
    if (std::string value = text_of(*details, name); !value.empty()) plan.*text = std::move(value);
  }
  if (const json* seconds = member_of(*details, "seconds"); seconds && seconds->is_number())
    plan.seconds = seconds->get<double>();
  plan.output_format_sent = member_of(*details, "output_format_sent") != nullptr;
  memo.surface = text_of(*details, "surface");
  if (const json* left_out = member_of(*details, "left_out"))
    memo.left_out =
        static_cast<std::size_t>(std::max<std::int64_t>(as_integer(*left_out).value_or(0), 0));
  if (const json* pace = member_of(*details, "pace");
      pace != nullptr && pace->is_array() && pace->size() == 2 && (*pace)[1].is_number()) {
    const auto since = as_integer((*pace)[0]).value_or(0);
    memo.pace = Pace{WallTime(Milliseconds(since)), (*pace)[1].get<double>()};
    const json* percent = member_of(*details, "percent");
    const std::optional<std::int64_t> told =
        percent != nullptr ? as_integer(*percent) : std::nullopt;
    if (told) memo.pace->percent = static_cast<int>(std::clamp<std::int64_t>(*told, 0, 99));
  }
  return memo;
}

Artifacts artifacts_of(const std::vector<Product>& products, const std::vector<RunJob>& jobs) {
  Artifacts artifacts;
  std::size_t left = max_artifact_bytes;
  for (const Product& product : products) {
    constexpr std::size_t beside = 64;  // what a record adds to the texts
    const bool has_thumbnail = product.thumbnail.starts_with("http");
    const std::size_t needed = product.content.size() + product.content_type.size() + beside +
                               (has_thumbnail ? product.thumbnail.size() : 0);
    // What stands in the answer itself is not noted, but fal keeps it for a while.
    if (!product.is_address || is_data(product) || needed > left) {
      ++artifacts.left_out;
      continue;
    }
    RunArtifact artifact{.url = product.content.str(),
                         .content_type = product.content_type,
                         .seconds = product.seconds,
                         .thumbnail = has_thumbnail ? product.thumbnail : std::string()};
    const auto job = std::ranges::find(jobs, product.fal_request_id, &RunJob::request_id);
    if (!product.fal_request_id.empty() && job != jobs.end())
      artifact.job = static_cast<std::uint32_t>(job - jobs.begin());
    if (const Result<SizeWish> size = SizeWish::parse(product.size.value_or("auto"));
        size && size->kind == SizeWish::Kind::pixels) {
      artifact.width = size->width;
      artifact.height = size->height;
    }
    left -= needed;
    artifacts.noted.push_back(std::move(artifact));
  }
  return artifacts;
}

std::vector<Product> products_of(const RunRecord& record, const Memo& memo) {
  std::vector<Product> products;
  const auto created =
      std::chrono::duration_cast<std::chrono::seconds>(record.created.time_since_epoch());
  plan::Plan plan = memo.plan;
  plan.response_format = ResponseFormat::url;
  for (const RunArtifact& artifact : record.artifacts) {
    plan::ResultFile file{.url = Body(artifact.url),
                          .content_type = artifact.content_type,
                          .width = artifact.width,
                          .height = artifact.height,
                          .seconds = artifact.seconds,
                          .thumbnail = artifact.thumbnail};
    products.push_back(product_of(plan, file, {.content = file.url}, created.count()));
    if (artifact.job && *artifact.job < record.jobs.size())
      products.back().fal_request_id = record.jobs[*artifact.job].request_id;
  }
  return products;
}

}  // namespace falproxy::inline v0::runs
