#include "base/endpoint_syntax.hpp"
#include "base/fmt.hpp"
#include "falproxy/settings.hpp"
#include "settings/json_file.hpp"

namespace falproxy::inline v0 {
namespace {

struct WrittenPrice {
  std::optional<Usd> unit_price;
  std::string unit;
};

class PricesFileReader : JsonFileReader {
 public:
  PricesFileReader(std::string_view text, const std::string& file) : JsonFileReader(text, file) {}

  Result<PriceTable, Faults> read(const Json& root) {
    PriceTable prices;
    for (const std::string_view id : root.keys()) {
      const Json value = *root.find(id);
      path_ = {std::string(id)};
      const EndpointSyntax endpoint = read_endpoint_syntax(id);
      if (!endpoint.fault.empty()) {
        fault("is no endpoint of fal's: it " + endpoint.fault,
              R"(write one like "fal-ai/flux/dev")");
      } else if (!value.is_object()) {
        fault("is not an object",
              fmt::format(R"(write "{}": {{"unit_price": "0.025", "unit": "images"}})", id));
      } else {
        WrittenPrice price;
        read_members(value, std::span<const Row>(rows), price);
        const auto absent = [&](const char* name) { return value[name].is_null(); };
        if (absent("unit_price")) fault("has no unit_price", R"(add "unit_price": "0.025")");
        if (absent("unit")) fault("has no unit", R"(add "unit": "images")");
        if (price.unit_price)
          prices.insert_or_assign(endpoint.id, Price{*price.unit_price, price.unit});
      }
    }
    if (faults_.empty()) return prices;
    return take_faults();
  }

 private:
  friend JsonFileReader;
  using Row = JsonFileReader::Row<PricesFileReader, WrittenPrice>;

  void read_unit_price(const Json& value, WrittenPrice& into) {
    into.unit_price = Usd::parse(value.as_string().value_or(""));
    if (!into.unit_price.has_value())
      fault("is not an amount of dollars", R"(write it like "0.025", in quotes)");
  }

  void read_unit(const Json& value, WrittenPrice& into) {
    into.unit = std::string(value.as_string().value_or("").substr(0, 100));
    if (into.unit.empty()) {
      fault("is not what fal counts by",
            R"(write "images", "megapixels", "seconds", "1000 characters" or fal's own word)");
    }
  }

  static const Row rows[2];
};

const PricesFileReader::Row PricesFileReader::rows[2] = {
    {"unit_price", &PricesFileReader::read_unit_price},
    {"unit", &PricesFileReader::read_unit},
};

}  // namespace

Result<PriceTable, std::vector<SettingsFault>> parse_prices_file(std::string_view text,
                                                                 const std::string& file) {
  const auto root =
      parse_json_file(text, file, "PRICES_FILE",
                      R"({"fal-ai/flux/dev": {"unit_price": "0.025", "unit": "images"}})");
  if (!root) return root.error();
  return PricesFileReader(text, file).read(*root);
}

bool asks_for_prices(const Settings& settings) {
  const Settings standard;
  return settings.fal_api_url != standard.fal_api_url ||
         settings.fal_queue_url == standard.fal_queue_url;
}

}  // namespace falproxy::inline v0
