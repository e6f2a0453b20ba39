#include "base/printer.hpp"
#include "falproxy/catalog.hpp"

namespace falproxy::inline v0 {
std::ostream& operator<<(std::ostream& out, const StoredDocument& document) {
  return Printer(out, "StoredDocument")("text", document.text)("fetched", document.fetched).end();
}

std::ostream& operator<<(std::ostream& out, const CatalogModel& model) {
  return Printer(out, "CatalogModel")("name", model.name)("endpoint", model.endpoint)(
             "edit_endpoint", model.edit_endpoint)("remix_endpoint", model.remix_endpoint)(
             "settings", model.settings)
      .end();
}

std::ostream& operator<<(std::ostream& out, const DocumentChange& change) {
  return Printer(out, "DocumentChange")("time", change.time)("text", change.text).end();
}

std::ostream& operator<<(std::ostream& out, const DocumentStatus& status) {
  return Printer(out, "DocumentStatus")("endpoint", status.endpoint)("available", status.available)(
             "pinned", status.pinned)("fetched", status.fetched)("fault", status.fault)(
             "changes", status.changes)
      .end();
}

}  // namespace falproxy::inline v0
