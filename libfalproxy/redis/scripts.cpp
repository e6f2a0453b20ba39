#include "scripts.hpp"

#include <array>
#include <cstddef>

namespace falproxy::inline v0::redis {
namespace {

// A record stands under `r:` and its id: a head of fixed places (fence, promised, open, holds its
// key, the length of what stays), what stays (created, digest, key, owner, surface), and the packed
// record. Indexes are sorted sets whose members are `created` and the id.
constexpr const char* prelude = R"(
local P='falproxy:'
local sub,call=string.sub,redis.call
local function stay_of(v) local n=tonumber(sub(v,25,28)) return sub(v,29,28+n),29+n end
local function names(s)
  local n=tonumber(sub(s,86,90))
  local owner,surface,key=sub(s,91,90+n),sub(s,91+n),nil
  if sub(s,53,53)=='1' then key=P..'k:'..owner..'\0'..sub(s,54,85) end
  if surface=='' then surface=nil else surface=P..'s:'..owner..'\0'..surface end
  return P..'d:'..owner..'\0'..sub(s,21,52),key,P..'o:'..owner,surface,owner
end
local function drop(id)
  local v=call('GET',P..'r:'..id)
  if not v then return end
  local s=stay_of(v)
  local m=sub(s,1,20)..id
  local d,k,o,u=names(s)
  call('ZREM',d,m)
  if k then call('ZREM',k,m) end
  call('ZREM',o,m)
  if u then call('ZREM',u,m) end
  call('ZREM',P..'open',m)
  call('ZREM',P..'exp',id)
  call('DEL',P..'r:'..id)
end
local function stand_media(id,owner,row,state,size)
  if state=='0' then call('ZADD',P..'mwait',row,id) end
  if state~='1' then return end
  call('HINCRBY',P..'mfiles',owner,1)
  call('HINCRBY',P..'mbytes',owner,size)
  call('ZADD',P..'mkept',row,id)
  call('ZADD',P..'mk:'..owner,row,id)
end
local function stand(code,info) return {code,info,call('ZCARD',P..'exp'),call('ZCARD',P..'open')} end
local function add_spending(at)
  local key=P..'sp:'..ARGV[at]
  for i=1,7 do
    local figure=ARGV[at+1+i]
    if figure~='0' then
      call('ZADD',P..'spdays',ARGV[at],ARGV[at])
      call('HINCRBY',key,ARGV[at+1]..'\0'..i,figure)
    end
  end
end
local function now() local t=call('TIME') return t[1]*1000+math.floor(t[2]/1000) end
)";

constexpr std::array<const char*, script_count> bodies = {
    // write
    R"(
local id,fence,flags,stay,body,expiry,claims,known=unpack(ARGV)
local v=fence..flags..string.format('%04d',#stay)..stay..body
local old=call('GET',P..'r:'..id)
if old then
  if old==v then return stand(0,'') end
  local stored=sub(old,1,20)
  if fence<=stored then return stand(1,stored) end
  if stay_of(old)~=stay then return stand(2,'') end
end
local d,k,o,u=names(stay)
local m=sub(stay,1,20)..id
if claims=='1' and k then
  for _,other in ipairs(call('ZREVRANGEBYLEX',k,'+','-','LIMIT',0,50)) do
    local oid=sub(other,21)
    if oid~=id and not string.find(known,oid,1,true) then
      local ov=call('GET',P..'r:'..oid)
      if ov and sub(ov,23,23)=='1' then return stand(3,oid) end
    end
  end
end
call('SET',P..'r:'..id,v)
call('ZADD',P..'exp',expiry,id)
if not old then
  call('ZADD',d,0,m)
  if k then call('ZADD',k,0,m) end
end
if sub(flags,1,1)=='1' then
  call('ZADD',o,0,m)
  if u then call('ZADD',u,0,m) end
elseif old and sub(old,21,21)=='1' then
  call('ZREM',o,m)
  if u then call('ZREM',u,m) end
end
if sub(flags,2,2)=='1' then call('ZADD',P..'open',0,m) elseif old then call('ZREM',P..'open',m) end
return stand(0,'')
)",
    // erase
    R"(
local v=call('GET',P..'r:'..ARGV[1])
if v and sub(v,21,21)=='1' then drop(ARGV[1]) end
return stand(0,'')
)",
    // find
    R"(
local index,newest,least,greatest,limit,owner=unpack(ARGV)
limit=tonumber(limit)
local found,at={},0
repeat
  local some
  if newest=='1' then
    some=call('ZREVRANGEBYLEX',P..index,greatest,least,'LIMIT',at,200)
  else
    some=call('ZRANGEBYLEX',P..index,least,greatest,'LIMIT',at,200)
  end
  for _,m in ipairs(some) do
    if #found>=limit then break end
    local v=call('GET',P..'r:'..sub(m,21))
    if v then
      local s,body=stay_of(v)
      local _,_,_,_,whose=names(s)
      if owner=='' or owner==whose then found[#found+1]=sub(v,body) end
    end
  end
  at=at+#some
until #some<200 or #found>=limit
return found
)",
    // forget
    R"(
local gone=call('ZRANGEBYSCORE',P..'exp','-inf',ARGV[1],'LIMIT',0,tonumber(ARGV[2]))
for _,id in ipairs(gone) do drop(id) end
return stand(#gone,'')
)",
    // post: an owner's hash has a sum for each day, week and month, and the total
    R"(
local once,life,back=ARGV[1],ARGV[2],ARGV[3]=='1'
local mark,had=P..'once:'..once,nil
if once~='' then had=call('GET',mark) end
local at=4
local function word() at=at+1 return ARGV[at-1] end
local charges,bounds,added={},{},{}
for i=1,tonumber(word()) do bounds[i]={word(),word(),tonumber(word())} end
for i=1,tonumber(word()) do
  charges[i]={word(),word(),word()}
  added[charges[i][1]]=(added[charges[i][1]] or 0)+tonumber(charges[i][3])
end
local done,posts=1,not had
if had=='0' then done=0 end
if back then posts=had=='1' end
for _,b in ipairs(bounds) do
  if not posts then break end
  local spent=tonumber(call('HGET',P..'c:'..b[1],b[2]) or '0')
  if spent>=b[3] or spent+(added[b[1]] or 0)>b[3] then done=0 end
end
if done==1 and posts then
  for _,c in ipairs(charges) do
    local key,amount=P..'c:'..c[1],c[3]
    if back then
      if sub(amount,1,1)=='-' then amount=sub(amount,2) else amount='-'..amount end
    end
    call('SADD',P..'owners',c[1])
    for window in string.gmatch(c[2],'%S+') do call('HINCRBY',key,window,amount) end
    if call('HLEN',key)>100 then
      local today=tonumber(string.match(c[2],'%d+'))
      for _,window in ipairs(call('HKEYS',key)) do
        local day=string.match(window,'%d+')
        if day and tonumber(day)<today-70 then call('HDEL',key,window) end
      end
    end
  end
end
if done==1 and posts and ARGV[at] then add_spending(at) end
if once~='' then
  if back then call('SET',mark,'0','EX',life)
  elseif done==1 and posts then call('SET',mark,'1','EX',life) end
end
local told={done}
for _,b in ipairs(bounds) do
  told[#told+1]=b[1]
  told[#told+1]=call('HGETALL',P..'c:'..b[1])
end
return told
)",
    // balances
    R"(
local page=call('SSCAN',P..'owners',ARGV[1],'COUNT',ARGV[2])
local told={page[1]}
for _,owner in ipairs(page[2]) do
  local sums={}
  for i=3,#ARGV do
    sums[#sums+1]=ARGV[i]
    sums[#sums+1]=call('HGET',P..'c:'..owner,ARGV[i]) or '0'
  end
  told[#told+1]=owner
  told[#told+1]=sums
end
return told
)",
    // add
    R"(
add_spending(1)
return 1
)",
    // drop_spending
    R"(
for _,day in ipairs(call('ZRANGEBYSCORE',P..'spdays','-inf','('..ARGV[1])) do
  call('DEL',P..'sp:'..day)
  call('ZREM',P..'spdays',day)
end
return 1
)",
    // take_place
    R"(
local account,ticket,limit,lease=unpack(ARGV)
local key,at=P..'places:'..account,now()
call('ZREMRANGEBYSCORE',key,'-inf',at)
if not call('ZSCORE',key,ticket) and call('ZCARD',key)>=tonumber(limit) then return 0 end
call('ZADD',key,at+lease,ticket)
call('PEXPIRE',key,2*lease)
return 1
)",
    // beat
    R"(
local process,lease,again=ARGV[1],tonumber(ARGV[2]),ARGV[3]
local at=now()
call('ZADD',P..'members',at+lease,process)
call('ZREMRANGEBYSCORE',P..'members','-inf',at)
for i=4,#ARGV,2 do
  local key=P..'places:'..ARGV[i]
  if again=='1' then
    call('ZADD',key,at+lease,ARGV[i+1])
  else
    call('ZADD',key,'XX',at+lease,ARGV[i+1])
  end
  call('PEXPIRE',key,2*lease)
end
return call('ZRANGE',P..'members',0,-1)
)",
    // note_media
    R"(
for i=1,#ARGV,6 do
  local id,value,owner,expiry,state,size=unpack(ARGV,i,i+5)
  if call('EXISTS',P..'m:'..id)==0 then
    local row=call('INCR',P..'mrow')
    call('HSET',P..'m:'..id,'v',value,'o',owner,'r',row,'s',state,'z',size)
    call('ZADD',P..'mo:'..owner,row,id)
    call('ZADD',P..'mexp',expiry,id)
    stand_media(id,owner,row,state,size)
  end
end
return 1
)",
    // change_media
    R"(
local id,state,size,kind=unpack(ARGV)
local key=P..'m:'..id
if call('EXISTS',key)==0 then return 0 end
local had=call('HMGET',key,'o','s','z','r')
local owner,was,bytes,row=had[1],had[2],had[3],had[4]
if was=='1' then
  call('HINCRBY',P..'mfiles',owner,-1)
  call('HINCRBY',P..'mbytes',owner,-bytes)
end
call('HSET',key,'s',state,'z',size,'t',kind)
call('ZREM',P..'mwait',id)
call('ZREM',P..'mkept',id)
call('ZREM',P..'mk:'..owner,id)
stand_media(id,owner,row,state,size)
return 1
)",
    // forget_media
    R"(
local id=ARGV[1]
local key=P..'m:'..id
local had=call('HMGET',key,'o','s','z')
if not had[1] then return 0 end
local owner=had[1]
if had[2]=='1' then
  if call('HINCRBY',P..'mfiles',owner,-1)<=0 then call('HDEL',P..'mfiles',owner) end
  if call('HINCRBY',P..'mbytes',owner,-had[3])<=0 then call('HDEL',P..'mbytes',owner) end
end
call('DEL',key)
for _,index in ipairs({'mexp','mwait','mkept','mo:'..owner,'mk:'..owner}) do
  call('ZREM',P..index,id)
end
return 1
)",
    // find_media
    R"(
local by,owner,what,limit=ARGV[1],ARGV[2],ARGV[3],tonumber(ARGV[4])
local ids
if by=='id' then ids={what}
elseif by=='owner' then
  local from='+inf'
  if what~='' then from='('..(call('HGET',P..'m:'..what,'r') or '0') end
  ids=call('ZREVRANGEBYSCORE',P..'mo:'..owner,from,'-inf','LIMIT',0,limit)
elseif by=='oldest' then
  local index='mkept'
  if owner~='' then index='mk:'..owner end
  ids=call('ZRANGE',P..index,0,limit-1)
elseif by=='expired' then ids=call('ZRANGEBYSCORE',P..'mexp','-inf',what,'LIMIT',0,limit)
else ids=call('ZRANGE',P..'mwait',0,limit-1) end
local found={}
for _,id in ipairs(ids) do
  local had=call('HMGET',P..'m:'..id,'v','s','z','t','o')
  if had[1] and (owner=='' or owner==had[5]) then
    for _,word in ipairs({id,had[1],had[2],had[3],had[4] or ''}) do found[#found+1]=word end
  end
end
return found
)",
    // media_totals
    R"(
return {call('HGETALL',P..'mfiles'),call('HGETALL',P..'mbytes')}
)",
    // put_text: a version is a time, so that none comes again after Redis has lost its data
    R"(
local name,text,version=unpack(ARGV)
local at=call('GET',P..'tv:'..name) or '0'
if version~='' and version~=at then return 0 end
call('SET',P..'tv:'..name,string.format('%.0f',math.max(tonumber(at)+1,now())))
if text=='' then call('DEL',P..'t:'..name) else call('SET',P..'t:'..name,text) end
return 1
)",
    // newer_text
    R"(
local name,version=unpack(ARGV)
local at=call('GET',P..'tv:'..name) or '0'
if version==at then return {at} end
return {at,call('GET',P..'t:'..name) or ''}
)",
    // put_first
    R"(
local name,text=unpack(ARGV)
local at=call('GET',P..'tv:'..name)
if at then return {at,call('GET',P..'t:'..name) or ''} end
at=string.format('%.0f',now())
call('SET',P..'tv:'..name,at)
call('SET',P..'t:'..name,text)
return {at,text}
)"};

}  // namespace

const std::string& text_of(Script script) {
  static const auto texts = [] {
    std::array<std::string, script_count> all;
    for (std::size_t i = 0; i < script_count; ++i) all[i] = std::string(prelude) + bodies[i];
    return all;
  }();
  return texts[static_cast<std::size_t>(script)];
}

}  // namespace falproxy::inline v0::redis
