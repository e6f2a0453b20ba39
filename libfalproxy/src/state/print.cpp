#include "base/enum_names.hpp"
#include "base/printer.hpp"
#include "falproxy/media_index.hpp"
#include "falproxy/peers.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::inline v0 {

std::ostream& operator<<(std::ostream& out, const RunId& id) { return out << id.to_string(); }

std::ostream& operator<<(std::ostream& out, const RunFault& fault) {
  return Printer(out, "RunFault")("kind", fault.kind)("message", fault.message).end();
}

std::ostream& operator<<(std::ostream& out, const RunJob& job) {
  return Printer(out, "RunJob")("state", job.state)("endpoint", job.endpoint)(
             "request_id", job.request_id)("account", job.account)("status_url", job.status_url)(
             "response_url", job.response_url)("cancel_url", job.cancel_url)(
             "submitted", job.submitted)("expected_units", job.expected_units)(
             "billable_units", job.billable_units)("held", job.held)("cost", job.cost)("fault",
                                                                                       job.fault)
      .end();
}

std::ostream& operator<<(std::ostream& out, const RunArtifact& artifact) {
  return Printer(out, "RunArtifact")("url", artifact.url)("content_type", artifact.content_type)(
             "size", artifact.size)("width", artifact.width)("height", artifact.height)(
             "seconds", artifact.seconds)("thumbnail", artifact.thumbnail)("job", artifact.job)
      .end();
}

std::ostream& operator<<(std::ostream& out, const RunRecord& record) {
  return Printer(out, "RunRecord")("id", record.id)("fence", record.fence)("state", record.state)(
             "owner", record.owner)("promised", record.promised)("surface", record.surface)(
             "user", record.user)("requested_model", record.requested_model)(
             "served_model", record.served_model)("created", record.created)(
             "changed", record.changed)("expires", record.expires)("chance", record.chance)(
             "jobs", record.jobs)("artifacts", record.artifacts)("fault", record.fault)(
             "details", record.details)("is_untold", record.is_untold)("holder", record.holder)
      .end();
}

std::ostream& operator<<(std::ostream& out, const StoreError& error) {
  return Printer(out, "StoreError")("fault", error.fault)("message", error.message)(
             "may_be_done", error.may_be_done)
      .end();
}

std::ostream& operator<<(std::ostream& out, const RunPlace& place) {
  return Printer(out, "RunPlace")("created", place.created)("id", place.id).end();
}

std::ostream& operator<<(std::ostream& out, const RunQuery& query) {
  return Printer(out, "RunQuery")("by", query.by)("owner", query.owner)("id", query.id)(
             "surface", query.surface)("limit", query.limit)("after", query.after)(
             "oldest_first", query.oldest_first)("not_before", query.not_before)
      .end();
}

std::ostream& operator<<(std::ostream& out, const StoreStatus& status) {
  return Printer(out, "StoreStatus")("name", status.name)("records", status.records)(
             "open", status.open)("waiting", status.waiting)("written", status.written)(
             "commits", status.commits)("degraded", status.degraded)
      .end();
}

std::ostream& operator<<(std::ostream& out, const MediaRecord& record) {
  return Printer(out, "MediaRecord")("id", record.id)("state", record.state)("owner", record.owner)(
             "created", record.created)("expires", record.expires)("size", record.size)(
             "content_type", record.content_type)("extension", record.extension)(
             "model", record.model)("request_id", record.request_id)("run", record.run)(
             "source", record.source)("fal_request_id", record.fal_request_id)("cost", record.cost)
      .end();
}

std::ostream& operator<<(std::ostream& out, const MediaQuery& query) {
  return Printer(out, "MediaQuery")("by", query.by)("id", query.id)("owner", query.owner)(
             "after", query.after)("now", query.now)("limit", query.limit)
      .end();
}

std::ostream& operator<<(std::ostream& out, const MediaTotal& total) {
  return Printer(out, "MediaTotal")("owner", total.owner)("files", total.files)("bytes",
                                                                                total.bytes)
      .end();
}

std::string_view name_of(KeyBan::Kind value) noexcept {
  constexpr std::string_view names[] = {"resting", "refused", "blocked"};
  return name_at(names, value);
}

std::ostream& operator<<(std::ostream& out, const KeyBan& ban) {
  return Printer(out, "KeyBan")("kind", ban.kind)("name", ban.name)("stamp", ban.stamp).end();
}

std::ostream& operator<<(std::ostream& out, const Turn& turn) {
  return Printer(out, "Turn")("client", turn.client)("ticket", turn.ticket)("places", turn.places)(
             "requests", turn.requests)("period", turn.period)
      .end();
}

std::string_view name_of(TurnAnswer::Kind value) noexcept {
  constexpr std::string_view names[] = {"yes", "no_place", "too_fast"};
  return name_at(names, value);
}

std::ostream& operator<<(std::ostream& out, const TurnAnswer& answer) {
  return Printer(out, "TurnAnswer")("kind", answer.kind)("remaining", answer.remaining)(
             "until_next", answer.until_next)("until_full", answer.until_full)
      .end();
}

}  // namespace falproxy::inline v0
