#include "spending_rows.hpp"

#include <string>
#include <utility>

#include "prepare_all.hpp"
#include "state/spending_sum.hpp"

namespace falproxy::inline v0::sqlite {
namespace {

std::string sum_by(const std::string& column, const std::string& order) {
  return "SELECT " + column +
         ", sum(requests), sum(failures), sum(artifacts), sum(unpriced), sum(units), sum(cost), "
         "sum(corrected) FROM totals WHERE day >= ?1 AND day <= ?2 AND (?3 IS NULL OR client = ?3) "
         "GROUP BY " +
         column + " ORDER BY " + order + " LIMIT " + std::to_string(most_spending_rows);
}

// The last columns of both tables; the first ones are their names.
std::string add_to(const std::string& table, const std::string& names) {
  return "INSERT INTO " + table +
         "(requests, failures, artifacts, unpriced, units, cost, corrected, " + names +
         ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10" +
         (names.find("person") == std::string::npos ? "" : ", ?11") + ") ON CONFLICT(" + names +
         ") DO UPDATE SET requests = requests + excluded.requests, "
         "failures = failures + excluded.failures, artifacts = artifacts + excluded.artifacts, "
         "unpriced = unpriced + excluded.unpriced, units = units + excluded.units, "
         "cost = cost + excluded.cost, corrected = corrected + excluded.corrected";
}

// Of a report by user, between which others have their turn.
constexpr std::size_t rows_of_part = 5'000;

// From the second column on.
Spending figures_of(const Statement& statement) {
  const auto count = [&](int column) {
    return static_cast<std::uint64_t>(statement.number(column));
  };
  return {.requests = count(1),
          .failures = count(2),
          .artifacts = count(3),
          .unpriced = statement.number(4),
          .units = {statement.number(5)},
          .cost = {statement.number(6)},
          .corrected = {statement.number(7)}};
}

int write(Statement& statement, const Spending& spending, bool has_person) {
  const auto count = [](std::uint64_t number) { return static_cast<std::int64_t>(number); };
  statement.bind(1, count(spending.requests)).bind(2, count(spending.failures));
  statement.bind(3, count(spending.artifacts)).bind(4, spending.unpriced);
  statement.bind(5, spending.units.nano).bind(6, spending.cost.nano);
  statement.bind(7, spending.corrected.nano).bind(8, std::int64_t{spending.day});
  statement.bind_text(9, spending.key).bind_text(10, spending.model);
  if (has_person) statement.bind_text(11, spending.user);
  return statement.run();
}

}  // namespace

int SpendingWriter::prepare(const Database& database) {
  return prepare_all(database,
                     {{&charge_,
                       "INSERT INTO charges(owner, day, nano) VALUES(?1, ?2, ?3) "
                       "ON CONFLICT(owner, day) DO UPDATE SET nano = nano + excluded.nano"},
                      {&add_, add_to("spending", "day, client, model, person")},
                      {&add_total_, add_to("totals", "day, client, model")},
                      {&forget_, "DELETE FROM spending WHERE day < ?1"},
                      {&forget_totals_, "DELETE FROM totals WHERE day < ?1"},
                      {&put_,
                       "INSERT INTO texts(name, text) VALUES(?1, ?2) "
                       "ON CONFLICT(name) DO UPDATE SET text = excluded.text"},
                      {&drop_, "DELETE FROM texts WHERE name = ?1"}});
}

int SpendingWriter::charge(const std::vector<Charge>& charges) {
  for (const Charge& charge : charges) {
    charge_.bind_text(1, charge.owner).bind(2, std::int64_t{charge.day});
    if (const int code = charge_.bind(3, charge.amount.nano).run(); code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

int SpendingWriter::add(const Spending& spending) {
  const auto [place, is_new] =
      added_.try_emplace({spending.day, spending.key, spending.model, spending.user}, spending);
  if (!is_new) add_to(place->second, spending);
  return SQLITE_OK;
}

int SpendingWriter::flush() {
  std::map<Names, Spending> totals;
  int code = SQLITE_OK;
  for (const auto& [names, one] : added_) {
    if (code == SQLITE_OK) code = write(add_, one, true);
    const auto [place, is_new] = totals.try_emplace({one.day, one.key, one.model, {}}, one);
    if (!is_new) add_to(place->second, one);
  }
  for (const auto& [names, total] : totals) {
    if (code == SQLITE_OK) code = write(add_total_, total, false);
  }
  added_.clear();
  return code;
}

int SpendingWriter::forget_spending(Day day) {
  const int code = forget_.bind(1, std::int64_t{day}).run();
  return code == SQLITE_OK ? forget_totals_.bind(1, std::int64_t{day}).run() : code;
}

int SpendingWriter::put(const std::string& name, const std::string& text) {
  if (text.empty()) return drop_.bind_text(1, name).run();
  return put_.bind_text(1, name).bind_text(2, text).run();
}

int SpendingReader::prepare(const Database& database) {
  const std::string dearest = "sum(cost) DESC, 1";
  return prepare_all(
      database,
      {{&balances_,
        "SELECT owner, sum(CASE WHEN day >= ?1 THEN nano ELSE 0 END), "
        "sum(CASE WHEN day >= ?2 THEN nano ELSE 0 END), "
        "sum(CASE WHEN day >= ?3 THEN nano ELSE 0 END), sum(nano) FROM charges GROUP BY owner"},
       {&by_day_, sum_by("day", "day")},
       {&by_key_, sum_by("client", dearest)},
       {&by_model_, sum_by("model", dearest)},
       {&next_key_,
        "SELECT day, client FROM spending WHERE (day, client) >= (?1, ?2) ORDER BY day, client "
        "LIMIT 1"},
       {&users_,
        "SELECT person, requests, failures, artifacts, unpriced, units, cost, corrected "
        "FROM spending WHERE day = ?1 AND client = ?2"},
       {&get_, "SELECT text FROM texts WHERE name = ?1"}});
}

int SpendingReader::balances(Day today, std::vector<Balance>& all) {
  const InUse use(balances_);
  int place = 1;
  for (const BudgetWindow window : {BudgetWindow::day, BudgetWindow::week, BudgetWindow::month})
    balances_.bind(place++, std::int64_t{first_day(window, today)});
  int code = balances_.step();
  for (; code == SQLITE_ROW; code = balances_.step()) {
    all.push_back({.owner = std::string(balances_.bytes(0)),
                   .day = {balances_.number(1)},
                   .week = {balances_.number(2)},
                   .month = {balances_.number(3)},
                   .total = {balances_.number(4)}});
  }
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

int SpendingReader::sum(const SpendingQuery& query, std::vector<Spending>& rows) {
  Statement& statement = query.by == SpendingBy::day   ? by_day_
                         : query.by == SpendingBy::key ? by_key_
                                                       : by_model_;
  const InUse use(statement);
  statement.bind(1, std::int64_t{query.first}).bind(2, std::int64_t{query.last});
  query.key ? statement.bind_text(3, *query.key) : statement.bind_null(3);
  int code = statement.step();
  for (; code == SQLITE_ROW; code = statement.step()) {
    Spending row = figures_of(statement);
    if (query.by == SpendingBy::day) {
      row.day = static_cast<Day>(statement.number(0));
    } else {
      (query.by == SpendingBy::key ? row.key : row.model) = statement.bytes(0);
    }
    rows.push_back(std::move(row));
  }
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

int SpendingReader::go_on(UserReport& report) {
  const SpendingQuery& query = report.query;
  for (std::size_t rows = 0; rows < rows_of_part && !report.is_whole;) {
    if (const int code = find_next_key(report); code != SQLITE_OK) return code;
    ++rows;
    if (report.is_whole) break;
    if (query.key && report.key != *query.key) {
      // Perhaps later on the same day, else on the next one.
      if (report.key > *query.key) ++report.day;
      report.key = *query.key;
      continue;
    }
    if (const int code = add_users(report, rows); code != SQLITE_OK) return code;
    report.key += '\0';  // the next one, if there is any
  }
  return SQLITE_OK;
}

int SpendingReader::find_next_key(UserReport& report) {
  const InUse use(next_key_);
  const int code = next_key_.bind(1, std::int64_t{report.day}).bind_text(2, report.key).step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) return code;
  report.is_whole = code == SQLITE_DONE || next_key_.number(0) > report.query.last;
  if (report.is_whole) return SQLITE_OK;
  report.day = static_cast<Day>(next_key_.number(0));
  report.key = next_key_.bytes(1);
  return SQLITE_OK;
}

int SpendingReader::add_users(UserReport& report, std::size_t& rows) {
  const InUse use(users_);
  users_.bind(1, std::int64_t{report.day}).bind_text(2, report.key);
  int code = users_.step();
  for (; code == SQLITE_ROW; code = users_.step()) {
    Spending spending = figures_of(users_);
    spending.day = report.day;
    spending.key = report.key;
    spending.user = users_.bytes(0);
    report.sums.add(spending);
    ++rows;
  }
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

int SpendingReader::get(const std::string& name, std::string& text) {
  const InUse use(get_);
  const int code = get_.bind_text(1, name).step();
  if (code == SQLITE_ROW) text = get_.bytes(0);
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

}  // namespace falproxy::inline v0::sqlite
