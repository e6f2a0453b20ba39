#include "spending_rows.hpp"

#include <string>

#include "prepare_all.hpp"
#include "state/spending_sum.hpp"

namespace falproxy::inline v0::sqlite {
namespace {

std::string sum_by(const std::string& table, const std::string& column, const std::string& order) {
  return "SELECT " + column +
         ", sum(requests), sum(failures), sum(artifacts), sum(unpriced), sum(units), sum(cost), "
         "sum(corrected) FROM " +
         table + " WHERE day >= ?1 AND day <= ?2 AND (?3 IS NULL OR client = ?3) GROUP BY " +
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
       {&by_day_, sum_by("totals", "day", "day")},
       {&by_key_, sum_by("totals", "client", dearest)},
       {&by_model_, sum_by("totals", "model", dearest)},
       {&by_user_, sum_by("spending", "person", dearest)},
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
  Statement* const statements[] = {&by_day_, &by_key_, &by_model_, &by_user_};
  Statement& statement = *statements[static_cast<std::size_t>(query.by)];
  const InUse use(statement);
  statement.bind(1, std::int64_t{query.first}).bind(2, std::int64_t{query.last});
  query.key ? statement.bind_text(3, *query.key) : statement.bind_null(3);
  int code = statement.step();
  for (; code == SQLITE_ROW; code = statement.step()) {
    const auto count = [&](int column) {
      return static_cast<std::uint64_t>(statement.number(column));
    };
    Spending row{.requests = count(1),
                 .failures = count(2),
                 .artifacts = count(3),
                 .unpriced = statement.number(4),
                 .units = {statement.number(5)},
                 .cost = {statement.number(6)},
                 .corrected = {statement.number(7)}};
    if (query.by == SpendingBy::day) {
      row.day = static_cast<Day>(statement.number(0));
    } else {
      std::string& name = query.by == SpendingBy::key     ? row.key
                          : query.by == SpendingBy::model ? row.model
                                                          : row.user;
      name = statement.bytes(0);
    }
    rows.push_back(std::move(row));
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
