// How many jobs, how many pictures each, and the seeds that make them differ.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "json/access.hpp"
#include "plan/draft.hpp"
#include "profile/whole_numbers.hpp"

namespace falproxy::inline v0::plan {

using namespace profile;
namespace {

using schema::Field;

constexpr int most_pictures = 1'000'000;

// What it makes, for people.
std::string_view word_for(Medium medium) noexcept {
  if (medium == Medium::image) return "picture";
  return medium == Medium::video ? "video" : "file";
}

std::optional<int> as_count(const Json& value) noexcept {
  const std::optional<std::uint32_t> number = read_whole_number(value);
  return number ? std::optional(static_cast<int>(*number)) : std::nullopt;
}

struct Count {
  Json value;
  int pictures = 1;
};

// The greatest count that the input takes and that is not above `wanted`; where all are above, the
// smallest. Null as a value: the input takes no count at all, and is left alone.
Count take_count(const Field& input, int wanted) {
  std::optional<Count> below;
  std::optional<Count> above;
  const auto offer = [&](const Json& value, int count) {
    if (count <= wanted && (!below || count > below->pictures)) below = Count{value, count};
    if (count > wanted && (!above || count < above->pictures)) above = Count{value, count};
  };
  for_each_listed(input, [&](const Json& value) {
    if (const std::optional<int> count = as_count(value)) offer(value, *count);
  });
  if (!below && !above) {
    for_each_shape(input, [&](const Field& shape) {
      if (below || !takes_number(shape)) return;
      const double count = whole_numbers(shape, 1, most_pictures).at_most(wanted);
      if (count > most_pictures) return;
      below = Count{Json::integer(static_cast<std::int64_t>(count)), static_cast<int>(count)};
    });
  }
  Count taken = below ? *below : above.value_or(Count{});
  if (!taken.value.is_null() && !schema::check(input, taken.value, input.name)) return taken;
  const std::optional<Json>& usual = input.default_value;
  return {{}, usual ? as_count(*usual).value_or(1) : 1};
}

// The pictures that each job brings, and what the request as a whole is to bring.
struct Counts {
  std::vector<Count> jobs;
  int per_run = 1;
  int total = 0;   // pictures that come
  int wanted = 1;  // pictures that are shown
  std::string_view decided_by = "n";
};

// max_images of models that have num_images as well: 1, unless somebody says otherwise.
int pictures_per_run(Draft& draft) {
  const Field* input = draft.profile[Role::per_run];
  if (input == nullptr) return 1;
  if (const Draft::Entry* entry = draft.find(input)) return as_count(entry->value).value_or(1);
  const std::optional<int> usual = input->default_value ? as_count(*input->default_value) : 1;
  if (usual == 1 && !input->required) return 1;
  Count one = take_count(*input, 1);
  if (one.value.is_null()) return one.pictures;
  draft.send(*input, std::move(one.value), Source::document, {},
             fmt::format("one {} a run", word_for(draft.request.makes)));
  return one.pictures;
}

Counts count_pictures(Draft& draft) {
  Counts counts;
  const Field* input = draft.profile[Role::count];
  counts.per_run = pictures_per_run(draft);
  const Draft::Entry* entry = draft.find(input);
  const std::optional<int> given = entry != nullptr ? as_count(entry->value) : std::nullopt;
  counts.wanted = draft.request.n.value_or(1);
  if (given && entry->source != Source::operator_override) {
    // The model's own field, or the operator's default where the request has no n: one job as it
    // says.
    if (draft.request.n && *draft.request.n != *given) {
      draft.drop("n", Json::integer(*draft.request.n),
                 fmt::format("dropped: '{}' decides how many", input->name));
    }
    counts.wanted = *given;
    counts.decided_by = input->name;
  }
  for (int left = counts.wanted; left > 0;) {
    Count count{{}, 1};
    if (given) {
      count = Count{entry->value, *given};
    } else if (input != nullptr) {
      count = take_count(*input, left);
    }
    left -= count.pictures;
    counts.total += count.pictures * counts.per_run;
    counts.jobs.push_back(std::move(count));
  }
  if (counts.per_run > 1) {
    counts.wanted = counts.total;
    counts.decided_by = draft.profile[Role::per_run]->name;
  }
  return counts;
}

WholeNumbers seeds_of(const Field& input) {
  WholeNumbers range{0, most_exact, 1};
  bool found = false;
  for_each_shape(input, [&](const Field& shape) {
    if (found || !takes_number(shape)) return;
    range = whole_numbers(shape, 0, most_exact);
    found = true;
  });
  return range;
}

// seed + k; past the greatest that the input takes it goes on from the smallest.
Json seed_of_job(std::int64_t seed, std::size_t job, const Field& input) {
  const WholeNumbers range = seeds_of(input);
  const auto low = static_cast<std::int64_t>(range.low);
  const std::int64_t high = range.high < most_exact ? static_cast<std::int64_t>(range.high)
                                                    : std::numeric_limits<std::int64_t>::max();
  const auto k = static_cast<std::int64_t>(job);
  const std::int64_t own =
      seed <= high - k ? seed + k : std::min(high, low + (k - (high - seed) - 1));
  const bool fits = !schema::check(input, Json::integer(own), input.name);
  return Json::integer(fits ? own : seed);
}

// The seed that all jobs would share, if nothing were done.
std::optional<std::int64_t> shared_seed(const Draft& draft) {
  const Field* input = draft.profile[Role::seed];
  if (input == nullptr) return std::nullopt;
  if (const Draft::Entry* entry = draft.find(input)) return entry->value.as_integer();
  return fixed_seed(draft);
}

// In place of the document's own, which would bring the same picture every time, and where the
// model wants to be given one.
std::optional<std::int64_t> random_seed(Draft& draft) {
  constexpr double greatest = 2147483647;  // what every model's generator takes
  if (!needs_random_seed(draft)) return std::nullopt;
  const std::optional<std::int64_t> fixed = fixed_seed(draft);
  const Field& input = *draft.profile[Role::seed];
  const WholeNumbers range = seeds_of(input);
  const double high = std::max(range.low, std::min(range.high, greatest));
  const double seed = range.nearest(range.low + std::floor(*draft.chance * (high - range.low + 1)));
  const auto chosen = static_cast<std::int64_t>(seed);
  if (schema::check(input, Json::integer(chosen), input.name)) return fixed;
  draft.plan.mappings.push_back({{}, input.name, Json::integer(chosen), "chosen at random"});
  draft.note("seed", fmt::format("not given: {} was chosen, as {}", chosen,
                                 fixed ? fmt::format("the model's own is always {}", *fixed)
                                       : "the model requires one"));
  return chosen;
}

// One for each job; none where there is nothing that they would share.
std::vector<Json> seeds_of_jobs(Draft& draft, std::size_t jobs) {
  std::vector<Json> seeds;
  std::optional<std::int64_t> first = random_seed(draft);
  if (!first && jobs > 1) first = shared_seed(draft);
  if (!first) return seeds;
  for (std::size_t k = 0; k < jobs; ++k)
    seeds.push_back(seed_of_job(*first, k, *draft.profile[Role::seed]));
  return seeds;
}

void tell_count(Draft& draft, const Counts& counts) {
  const Field* input = draft.profile[Role::count];
  if (draft.has(input)) return;
  const Json n = Json::integer(counts.wanted);
  std::string why =
      counts.jobs.size() == 1 ? "one job" : fmt::format("{} jobs", counts.jobs.size());
  if (input == nullptr || counts.jobs.front().value.is_null()) {
    why += fmt::format(", one {} each", word_for(draft.request.makes));
    draft.plan.mappings.push_back({"n", {}, n, std::move(why)});
  } else {
    draft.plan.mappings.push_back({"n", input->name, counts.jobs.front().value, std::move(why)});
  }
  if (draft.profile[Role::per_run] == nullptr && counts.total > counts.wanted) {
    draft.note("n", fmt::format("the model makes {}, {} are shown", counts.total, counts.wanted));
  }
}

// Without it some models make more pictures than are asked for, and show none of them.
void limit_runs(Draft& draft) {
  const Field* input = draft.profile[Role::limit_runs];
  if (input == nullptr || draft.has(input) || input->default_value == Json::boolean(true)) return;
  draft.send(*input, Json::boolean(true), Source::document, {}, "no more than are asked for");
}

}  // namespace

std::optional<std::int64_t> fixed_seed(const Draft& draft) {
  const Field* input = draft.profile[Role::seed];
  if (input == nullptr || draft.has(input) || !input->default_value) return std::nullopt;
  const std::optional<std::int64_t> usual = input->default_value->as_integer();
  return usual && *usual >= 0 ? usual : std::nullopt;  // -1 is "a random one" as a default
}

bool needs_random_seed(const Draft& draft) {
  const Field* input = draft.profile[Role::seed];
  return input != nullptr && draft.chance && !draft.has(input) &&
         (input->required || fixed_seed(draft));
}

std::optional<Error> make_jobs(Draft& draft) {
  const int most = draft.options.max_images;
  if (draft.request.n && (*draft.request.n < 1 || *draft.request.n > most)) {
    return Error{ErrorKind::invalid_value, fmt::format("'n' must be from 1 to {}.", most), "n"};
  }
  const Counts counts = count_pictures(draft);
  if (counts.wanted > most) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("'{}' asks for {} pictures; at most {} may be made by one request.",
                             counts.decided_by, counts.wanted, most),
                 std::string(counts.decided_by)};
  }
  tell_count(draft, counts);
  draft.plan.n = counts.wanted;
  limit_runs(draft);

  const Field* count_input = draft.profile[Role::count];
  const Field* seed_input = draft.profile[Role::seed];
  const std::vector<Json> seeds = seeds_of_jobs(draft, counts.jobs.size());
  for (std::size_t k = 0; k < counts.jobs.size(); ++k) {
    nlohmann::json input = nlohmann::json::object();
    for (const Draft::Entry& entry : draft.entries)
      input[entry.field->name] = Json::Access::raw(entry.value);
    if (count_input != nullptr && !counts.jobs[k].value.is_null())
      input[count_input->name] = Json::Access::raw(counts.jobs[k].value);
    if (!seeds.empty()) input[seed_input->name] = Json::Access::raw(seeds[k]);
    draft.plan.jobs.push_back({Json::Access::wrap(std::move(input)),
                               counts.jobs[k].pictures * counts.per_run, draft.slots});
  }
  if (seeds.size() > 1) {
    draft.note("seed", fmt::format("{} jobs: the seed counts up from {}, so that they differ",
                                   counts.jobs.size(), seeds.front().dump()));
  }
  return std::nullopt;
}

}  // namespace falproxy::inline v0::plan
