#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <ostream>

#include "base/fmt.hpp"
#include "commands/commands.hpp"
#include "commands/documents.hpp"
#include "commands/table.hpp"

namespace falproxy::app {
namespace {

std::string date_of(WallTime time) {
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(time));
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(day.year()),
                     static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()));
}

// When the document of `model` was fetched, or "local file".
std::string document_date(const CatalogModel& model, const std::vector<DocumentStatus>& all) {
  if (!model.settings.schema.empty()) return "local file";
  const auto found = std::ranges::find(all, model.endpoint.str(), &DocumentStatus::endpoint);
  if (found == all.end() || !found->fetched.has_value()) return "";
  return date_of(*found->fetched);
}

Json edit_endpoint_json(const CatalogModel& model) {
  return model.edit_endpoint.has_value() ? Json::string(model.edit_endpoint->str()) : Json();
}

int list_models(const CommandLine& line, const Surroundings& surroundings,
                const Configuration& configuration, Documents& documents) {
  std::vector<Documents::Wanted> wanted;
  for (const CatalogModel& model : configuration.models) {
    wanted.push_back({model.name, model.endpoint});
  }
  const std::vector<Documents::Profile> profiles = documents.fetch(wanted);
  const std::vector<DocumentStatus> status = documents.catalog().status();
  std::vector<std::vector<std::string>> rows{
      {"MODEL", "ENDPOINT", "CATEGORY", "SIZE", "N", "IMAGES IN", "FORMATS", "DOCUMENT"}};
  std::vector<Json> items;
  bool all_there = true;
  for (std::size_t i = 0; i < profiles.size(); ++i) {
    const CatalogModel& model = configuration.models[i];
    std::vector<std::pair<std::string, Json>> item{{"name", Json::string(model.name)},
                                                   {"endpoint", Json::string(model.endpoint.str())},
                                                   {"edit_endpoint", edit_endpoint_json(model)}};
    if (profiles[i]) {
      const profile::Summary summary = profile::describe(**profiles[i]);
      const std::string date = document_date(model, status);
      const std::string images = summary.requires_image ? "needed"
                                 : summary.takes_images ? "taken"
                                 : model.edit_endpoint  ? "by + endpoint"
                                                        : "none";
      rows.push_back({model.name, model.endpoint.str(), summary.category, size_words(summary),
                      fmt::format("{}", summary.max_n), images,
                      fmt::format("{}", fmt::join(summary.formats, ", ")), date});
      item.emplace_back("document", Json::string(date));
      item.emplace_back("takes", profile::to_json(summary));
    } else {
      all_there = false;
      rows.push_back(
          {model.name, model.endpoint.str(), "unavailable: " + profiles[i].error().message});
      item.emplace_back("error", Json::string(profiles[i].error().message));
    }
    items.push_back(Json::object(item));
  }
  show(line, surroundings, Json::object({{"models", Json::array(items)}}), table_text(rows));
  return all_there ? ExitStatus::done : ExitStatus::fault;
}

Wish plain_edit(const std::string& model) {
  Wish request;
  request.intent = Intent::edit;
  request.model = model;
  request.prompt = "make the sky green";
  request.images.push_back({.url = "https://example.com/picture.png"});
  return request;
}

int list_edits(const CommandLine& line, const Surroundings& surroundings,
               const Configuration& configuration, Documents& documents) {
  const std::vector<CatalogModel>& models = configuration.models;
  std::vector<std::optional<Result<plan::Plan>>> plans(models.size());
  for_each_at_once(surroundings.executor, models.size(), 8,
                   [&](std::size_t i) { plans[i] = documents.plan(plain_edit(models[i].name)); });
  std::vector<std::vector<std::string>> rows{{"MODEL", "ENDPOINT", "EDITS", "HOW, OR WHY NOT"}};
  std::vector<Json> items;
  bool all_there = true;
  for (std::size_t i = 0; i < models.size(); ++i) {
    const Result<plan::Plan>& plan = *plans[i];
    const std::string endpoint = models[i].edit_endpoint.value_or(models[i].endpoint).str();
    std::string how;
    if (!plan) {
      how = plan.error().message;
      all_there = all_there && plan.error().kind != ErrorKind::model_unavailable;
    } else {
      for (const plan::FileSlot& slot : plan->jobs.front().slots) {
        how += (how.empty() ? "" : ", ") + slot.property;
      }
    }
    rows.push_back({models[i].name, endpoint, plan ? "yes" : "no", how});
    items.push_back(Json::object({{"name", Json::string(models[i].name)},
                                  {"endpoint", Json::string(endpoint)},
                                  {"edits", Json::boolean(plan.has_value())},
                                  {plan ? "input" : "reason", Json::string(how)}}));
  }
  show(line, surroundings, Json::object({{"models", Json::array(items)}}), table_text(rows));
  return all_there ? ExitStatus::done : ExitStatus::fault;
}

}  // namespace

int run_models(const CommandLine& line, const Surroundings& surroundings) {
  if (!line.profile_folder.empty()) return run_profiles(line, surroundings);
  const std::optional<Configuration> configuration = configured(line, surroundings);
  if (!configuration) return ExitStatus::not_understood;
  auto documents = Documents::create(surroundings, *configuration, Documents::Cache::used);
  if (!documents) return fail(surroundings, documents.error().message);
  return line.edits ? list_edits(line, surroundings, *configuration, **documents)
                    : list_models(line, surroundings, *configuration, **documents);
}

}  // namespace falproxy::app
