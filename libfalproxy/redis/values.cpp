#include "values.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>
#include <tuple>
#include <utility>

#include "base/fmt.hpp"

namespace falproxy::inline v0::redis {
namespace {

constexpr std::size_t head_size = 28;  // of a record's value, the length of what stays included

std::string text_of(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::int64_t signed_in(std::string_view text) noexcept {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

std::string bytes_of(const RunId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

RunId id_in(std::string_view bytes) noexcept {
  RunId id;
  for (std::size_t i = 0; i < std::min(bytes.size(), id.bytes.size()); ++i)
    id.bytes[i] = static_cast<std::uint8_t>(bytes[i]);
  return id;
}

std::string places20(std::uint64_t number) { return fmt::format("{:020}", number); }

std::uint64_t number_in(std::string_view text) noexcept {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string created20(WallTime time) {
  const auto nano =
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
  return places20(static_cast<std::uint64_t>(std::max<std::int64_t>(nano, 0)));
}

std::int64_t microseconds_up(WallTime time) {
  return std::chrono::ceil<std::chrono::microseconds>(time.time_since_epoch()).count();
}

std::int64_t microseconds_down(WallTime time) {
  return std::chrono::floor<std::chrono::microseconds>(time.time_since_epoch()).count();
}

std::string stay_of(const RunRecord& record) {
  std::string stay = created20(record.created) + text_of(record.digest);
  stay += record.key_hash ? '1' : '0';
  if (record.key_hash) stay += text_of(*record.key_hash);
  stay += fmt::format("{:05}", record.owner.size()) + record.owner + record.surface;
  // FNV-1a.
  std::uint64_t mark = 0xcbf29ce484222325;
  for (const char c : stay) mark = (mark ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  std::string text;
  for (std::size_t i = 0; i < mark_size; ++i) text += static_cast<char>(mark >> (8 * i));
  return text + stay;
}

Result<RunRecord, StoreError> record_in(std::string_view value) {
  const std::size_t stay = value.size() < head_size ? 0 : number_in(value.substr(head_size - 4, 4));
  if (stay == 0 || value.size() < head_size + stay)
    return StoreError{StoreFault::damaged, "What Redis keeps of a run cannot be read."};
  return unpack(value.substr(head_size + stay));
}

std::string index_of(const RunQuery& query) {
  using enum RunQuery::By;
  const std::string separator(1, '\0');
  switch (query.by) {
    case digest:
      return "d:" + query.owner + separator + text_of(query.digest);
    case key:
      return "k:" + query.owner + separator + text_of(query.digest);
    case owner:
      if (query.surface.empty()) return "o:" + query.owner;
      return "s:" + query.owner + separator + query.surface;
    case id:
    case open:
      break;
  }
  return "open";
}

std::string window_name(BudgetWindow window, Day day) {
  const char* const letter = window == BudgetWindow::week    ? "w"
                             : window == BudgetWindow::month ? "m"
                                                             : "";
  return window == BudgetWindow::total ? "t" : letter + std::to_string(first_day(window, day));
}

Balance balance_in(const std::string& owner, const Reply& amounts, Day today) {
  Balance balance{.owner = owner};
  for (std::size_t i = 0; i + 1 < amounts.items.size(); i += 2) {
    const auto read = [&](BudgetWindow window, Usd& into) {
      if (amounts.at(i).text == window_name(window, today))
        into = Usd{signed_in(amounts.at(i + 1).text)};
    };
    read(BudgetWindow::day, balance.day);
    read(BudgetWindow::week, balance.week);
    read(BudgetWindow::month, balance.month);
    read(BudgetWindow::total, balance.total);
  }
  return balance;
}

std::string names_of(const Spending& spending) {
  const std::string separator(1, '\0');
  return spending.key + separator + spending.model + separator + spending.user;
}

std::array<std::int64_t, 7> figures_of(const Spending& spending) {
  return {static_cast<std::int64_t>(spending.requests),
          static_cast<std::int64_t>(spending.failures),
          static_cast<std::int64_t>(spending.artifacts),
          spending.unpriced,
          spending.units.nano,
          spending.cost.nano,
          spending.corrected.nano};
}

Spending spending_in(std::string_view day, std::string_view field, std::string_view text) {
  std::array<std::string_view, 4> parts;  // key, model, user, which figure
  std::size_t from = 0;
  for (std::string_view& part : parts) {
    const std::size_t end = std::min(field.find('\0', from), field.size());
    part = field.substr(std::min(from, field.size()), end - std::min(from, end));
    from = end + 1;
  }
  Spending spending{.day = static_cast<Day>(signed_in(day)),
                    .key = std::string(parts[0]),
                    .model = std::string(parts[1]),
                    .user = std::string(parts[2])};
  const std::int64_t figure = signed_in(text);
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(figure, 0));
  switch (signed_in(parts[3])) {
    case 1:
      spending.requests = count;
      break;
    case 2:
      spending.failures = count;
      break;
    case 3:
      spending.artifacts = count;
      break;
    case 4:
      spending.unpriced = figure;
      break;
    case 5:
      spending.units = Units{figure};
      break;
    case 6:
      spending.cost = Usd{figure};
      break;
    case 7:
      spending.corrected = Usd{figure};
      break;
    default:
      break;
  }
  return spending;
}

namespace {

// Texts, each with its length before it.
class TextWriter {
 public:
  TextWriter& operator()(std::string_view text) {
    text_ += fmt::format("{}:", text.size());
    text_ += text;
    return *this;
  }
  TextWriter& operator()(std::int64_t number) { return (*this)(std::to_string(number)); }
  [[nodiscard]] std::string text() { return std::move(text_); }

 private:
  std::string text_;
};

class TextReader {
 public:
  explicit TextReader(std::string_view text) : rest_(text) {}
  std::string_view operator()() {
    const std::size_t colon = rest_.find(':');
    if (colon == std::string_view::npos) return end();
    const std::size_t size = number_in(rest_.substr(0, colon));
    if (size > rest_.size() - colon - 1) return end();
    const std::string_view text = rest_.substr(colon + 1, size);
    rest_.remove_prefix(colon + 1 + size);
    return text;
  }
  [[nodiscard]] bool is_whole() const noexcept { return whole_ && rest_.empty(); }

 private:
  std::string_view end() noexcept {
    whole_ = false;
    return {};
  }
  std::string_view rest_;
  bool whole_ = true;
};

std::int64_t nanoseconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

WallTime time_of(std::string_view nanoseconds) {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(
      std::chrono::nanoseconds(signed_in(nanoseconds))));
}

}  // namespace

std::string packed(const MediaRecord& record) {
  TextWriter out;
  out(record.owner)(nanoseconds(record.created))(nanoseconds(record.expires))(record.content_type);
  out(record.extension)(record.model)(record.request_id)(record.fal_request_id);
  out(record.run ? bytes_of(*record.run) : "");
  out(record.source)(record.cost ? std::to_string(record.cost->nano) : "");
  return out(record.prompt ? "1" : "")(record.prompt.value_or("")).text();
}

std::optional<MediaRecord> media_in(const Reply& reply, std::size_t place) {
  TextReader in(reply.at(place + 1).text);
  MediaRecord record{.id = id_in(reply.at(place).text)};
  record.owner = in();
  record.created = time_of(in());
  record.expires = time_of(in());
  record.content_type = in();
  record.extension = in();
  record.model = in();
  record.request_id = in();
  record.fal_request_id = in();
  if (const std::string_view run = in(); !run.empty()) record.run = id_in(run);
  record.source = in();
  if (const std::string_view cost = in(); !cost.empty()) record.cost = Usd{signed_in(cost)};
  const bool has_prompt = !in().empty();
  const std::string_view prompt = in();
  if (has_prompt) record.prompt = prompt;
  if (!in.is_whole()) return std::nullopt;
  record.state = static_cast<MediaState>(std::clamp<std::int64_t>(
      signed_in(reply.at(place + 2).text), 0, static_cast<int>(MediaState::deleted)));
  record.size = number_in(reply.at(place + 3).text);
  if (!reply.at(place + 4).text.empty()) record.content_type = reply.at(place + 4).text;
  return record;
}

std::vector<MediaTotal> totals_in(const Reply& reply) {
  std::map<std::string, MediaTotal> totals;
  for (std::size_t which = 0; which < 2; ++which) {
    const Reply& figures = reply.at(which);
    for (std::size_t i = 0; i + 1 < figures.items.size(); i += 2) {
      MediaTotal& total = totals[figures.at(i).text];
      total.owner = figures.at(i).text;
      (which == 0 ? total.files : total.bytes) = number_in(figures.at(i + 1).text);
    }
  }
  std::vector<MediaTotal> all;
  for (auto& [owner, total] : totals) {
    if (total.files > 0) all.push_back(std::move(total));
  }
  return all;
}

}  // namespace falproxy::inline v0::redis
