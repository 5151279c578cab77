"""The blind test as one HTML file: opens from disk, needs no network, can be done with the keyboard alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from html import escape

from storage.blind_test import HIGHEST, LOWEST, RATINGS, Quiz

_STYLE = """
:root{--bg:#fff;--fg:#1d2129;--soft:#5c6370;--line:#dfe2e8;--card:#f6f7f9;--on:#3f62d6;--onfg:#fff}
@media(prefers-color-scheme:dark){:root{--bg:#16181d;--fg:#e7e9ee;--soft:#a0a7b4;--line:#343944;--card:#1f232b;
--on:#86a1ff;--onfg:#11141b}}
*{box-sizing:border-box}body{margin:0 auto;max-width:720px;padding:24px 18px 60px;background:var(--bg);color:var(--fg);
font:17px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}h1{font-size:1.4rem;margin:0 0 6px}
p{margin:8px 0}.soft{color:var(--soft);font-size:.9rem}button,input{font:inherit;color:inherit}
button{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:9px 16px;cursor:pointer}
button[aria-pressed=true],button.go{background:var(--on);border-color:var(--on);color:var(--onfg)}
button:disabled{opacity:.45;cursor:default}:focus-visible{outline:3px solid var(--on);outline-offset:2px}
input{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:9px 12px;width:100%;max-width:320px}
.talk{margin:18px 0 0}.talk div,.reply{white-space:pre-wrap;overflow-wrap:anywhere;width:fit-content;max-width:88%;
background:var(--card);border-radius:6px 18px 18px 18px;padding:8px 14px;margin:8px 0}
.talk b{display:block;color:var(--soft);font-weight:600;font-size:.8rem}
.reply{margin:14px 0 14px auto;background:var(--on);
color:var(--onfg);border-radius:18px 6px 18px 18px;padding:12px 16px}
.choice{position:sticky;bottom:0;display:grid;
grid-template-columns:1fr 1fr;gap:12px;padding:12px 0;background:var(--bg)}
.choice button{min-height:64px;font-size:1.15rem;font-weight:600;border-radius:16px}
textarea{font:13px ui-monospace,monospace;width:100%;min-height:96px;background:var(--card);color:inherit;
border:1px solid var(--line);border-radius:8px;padding:10px;overflow-wrap:anywhere}summary{cursor:pointer}
.row{display:flex;gap:10px;flex-wrap:wrap;align-items:center;margin:14px 0}
fieldset{border:0;padding:0;margin:8px 0;display:grid;grid-template-columns:1fr auto;align-items:center;gap:4px 10px}
fieldset button{padding:4px 12px}progress{width:100%;height:8px}kbd{border:1px solid var(--line);border-radius:4px;
padding:0 5px;font-size:.8em}[hidden]{display:none!important}fieldset.here legend{color:var(--on);font-weight:600}
fieldset legend{float:left;padding:0}main:focus{outline:none}
"""
_SCRIPT = """
'use strict';
const quiz=JSON.parse(document.getElementById('quiz').textContent);
const names=JSON.parse(document.getElementById('ratings').textContent);
const store='blind-test-'+quiz.id;
let state={rater:'',at:0,verdicts:{}};
try{state=Object.assign(state,JSON.parse(localStorage.getItem(store)||'{}'))}catch(e){}
const el=id=>document.getElementById(id);
function keep(){try{localStorage.setItem(store,JSON.stringify(state))}catch(e){}}
function here(){const id=quiz.items[state.at].id;
 return state.verdicts[id]||(state.verdicts[id]={is_bot:null,ratings:{}})}
function done(){return quiz.items.filter(i=>state.verdicts[i.id]&&state.verdicts[i.id].is_bot!==null).length}
function show(view){for(const v of ['start','item','end'])el(v).hidden=v!==view}
function line(name,text){const d=document.createElement('div'),b=document.createElement('b');b.textContent=name;
 d.append(b,document.createTextNode(text));return d}
function draw(){const item=quiz.items[state.at],v=here();show('item');
 el('talk').replaceChildren(...item.context.map(l=>line(l.name,l.text)));el('reply').textContent=item.reply;
 el('count').textContent='Reply '+(state.at+1)+' of '+quiz.items.length;
 el('bar').max=quiz.items.length;el('bar').value=done();
 el('human').setAttribute('aria-pressed',v.is_bot===false);el('bot').setAttribute('aria-pressed',v.is_bot===true);
 const next=names.findIndex(n=>!(n[0] in v.ratings));
 names.forEach((n,k)=>{const f=el('r-'+n[0]);f.classList.toggle('here',k===next);
  f.querySelectorAll('button').forEach(b=>b.setAttribute('aria-pressed',v.ratings[n[0]]===+b.value))});
 el('back').disabled=state.at===0;el('next').disabled=v.is_bot===null;
 el('next').textContent=state.at===quiz.items.length-1?'Finish':'Next';keep()}
function mark(is){here().is_bot=is;draw()}
function rateIt(name,value){here().ratings[name]=value;draw()}
function rateNext(value){el('more').open=true;const v=here(),
 n=names.find(n=>!(n[0] in v.ratings))||names[names.length-1];rateIt(n[0],value)}
function forward(){if(here().is_bot===null)return;if(state.at===quiz.items.length-1)return finish();
 state.at++;draw();window.scrollTo(0,0)}
function backward(){if(state.at>0){state.at--;draw()}}
function tapped(e,is){mark(is);if(e.detail&&!el('more').open)setTimeout(forward,180)}
function code(){const marks=quiz.items.map(i=>{const v=state.verdicts[i.id];
  return v&&v.is_bot!==null?(v.is_bot?'b':'h'):'-'}).join(''),ratings={};
 quiz.items.forEach((i,k)=>{const v=state.verdicts[i.id];
  if(v&&v.is_bot!==null&&Object.keys(v.ratings).length)ratings[k]=v.ratings});
 const text=JSON.stringify([quiz.id,state.rater,Math.round(Date.now()/1000),marks,ratings]);
 let raw='';for(const b of new TextEncoder().encode(text))raw+=String.fromCharCode(b);
 return 'BT1.'+btoa(raw).replace(/\\+/g,'-').replace(/\\//g,'_').replace(/=+$/,'')}
function copyCode(){const t=el('code');t.focus();t.select();let ok=false;
 try{ok=document.execCommand('copy')}catch(e){}
 if(!ok&&navigator.clipboard)navigator.clipboard.writeText(t.value).catch(()=>{});el('copied').hidden=false}
function begin(){const name=el('rater').value.trim();if(!name){el('rater').focus();return}state.rater=name;draw();
 el('item').focus({preventScroll:true})}
function finish(){show('end');const left=quiz.items.length-done();keep();
 el('left').textContent=left?left+' replies are not marked yet. You can go back, or save what there is.':
 'All '+quiz.items.length+' replies are marked.';el('code').value=code();el('save').focus()}
function result(){return {quiz_id:quiz.id,rater:state.rater,made_at:Date.now()/1000,verdicts:quiz.items
 .filter(i=>state.verdicts[i.id]&&state.verdicts[i.id].is_bot!==null)
 .map(i=>({item_id:i.id,is_bot:state.verdicts[i.id].is_bot,ratings:state.verdicts[i.id].ratings}))}}
function save(){const a=document.createElement('a');
 a.href=URL.createObjectURL(new Blob([JSON.stringify(result(),null,1)],{type:'application/json'}));
 a.download='blind-test-'+quiz.id+'-'+(state.rater.replace(/[^\\w-]+/g,'-')||'rater')+'.json';a.click();
 setTimeout(()=>URL.revokeObjectURL(a.href),5000);el('saved').hidden=false}
el('rater').value=state.rater;
el('go').onclick=begin;el('human').onclick=e=>tapped(e,false);el('bot').onclick=e=>tapped(e,true);
el('copy').onclick=copyCode;
el('next').onclick=forward;el('back').onclick=backward;el('save').onclick=save;el('again').onclick=draw;
el('rater').onkeydown=e=>{if(e.key==='Enter')begin()};
document.querySelectorAll('fieldset button').forEach(b=>b.onclick=()=>rateIt(b.name,+b.value));
document.addEventListener('keydown',e=>{if(el('item').hidden||e.ctrlKey||e.metaKey||e.altKey)return;
 const k=e.key.toLowerCase();
 if(k==='h')mark(false);else if(k==='b')mark(true);else if(k>='1'&&k<='5')rateNext(+k);
 else if(k==='enter'||k==='arrowright'){
  if(k==='enter'&&e.target.tagName==='BUTTON'&&e.target.getAttribute('aria-pressed')!=='true')return;
  e.preventDefault();forward()}
 else if(k==='arrowleft')backward()});
if(done()&&state.rater)draw();
"""


def page(quiz: Quiz) -> str:
    """The page of a quiz. Who wrote what is not in it in any form."""
    ratings = "".join(
        f'<fieldset id="r-{name}"><legend>{escape(label)}</legend><div role=group>'
        + "".join(
            f'<button type=button name="{name}" value={value} aria-label="{escape(label)}: {value}">{value}</button>'
            for value in range(LOWEST, HIGHEST + 1)
        )
        + "</div></fieldset>"
        for name, label in RATINGS
    )
    return (
        f'<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width,'
        f'initial-scale=1"><title>{escape(quiz.title)}</title><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(quiz.title)}</h1>"
        f"<main id=start><p>You will read {len(quiz.items)} short talks from this server. Under each stands one reply: "
        "written there by a real member, or by the bot. Say which you think it is. About half are the bot's.</p>"
        "<p>A tap is an answer. At the end stands a code: send it to whoever gave you this page, who can tell you how "
        "you did.</p>"
        "<p class=soft>Keys: <kbd>H</kbd> human, <kbd>B</kbd> bot, <kbd>1</kbd>-<kbd>5</kbd> ratings from top to "
        "bottom, "
        "<kbd>Enter</kbd> next, <kbd>←</kbd> back. What you mark stays in this browser until you save it; nothing is "
        "sent anywhere.</p><div class=row><label for=rater>Your name</label><input id=rater autofocus maxlength=60>"
        "<button id=go class=go>Start</button></div></main>"
        "<main id=item hidden tabindex=-1><progress id=bar value=0 max=1 aria-label=Progress></progress>"
        "<p class=soft id=count aria-live=polite></p><div class=talk id=talk></div><div class=reply id=reply></div>"
        "<div class=choice role=group aria-label=Verdict><button id=human type=button>Human</button>"
        "<button id=bot type=button>Bot</button></div>"
        "<details id=more><summary class=soft>Rate it too, from 1 (not at all) to 5 (fully)</summary>"
        f"{ratings}</details>"
        "<div class=row><button id=back type=button>Back</button><button id=next type=button "
        "class=go>Next</button></div>"
        "</main><main id=end hidden><p id=left></p><p>Your result, as a code. Copy it and send it to whoever gave you "
        "this test:</p><textarea id=code readonly aria-label=Code></textarea>"
        "<div class=row><button id=copy type=button class=go>Copy the code</button><span id=copied class=soft hidden>"
        "Copied.</span></div><p class=soft>Or as a file:</p><div class=row><button id=save type=button>Save my result"
        "</button><button id=again type=button>Back to the replies</button></div><p id=saved hidden>The file is in "
        "your "
        "downloads. Send it to whoever gave you this test. Thank you!</p></main>"
        f'<script type="application/json" id=quiz>{_embedded(asdict(quiz))}</script>'
        f'<script type="application/json" id=ratings>{_embedded(RATINGS)}</script>'
        f"<script>{_SCRIPT}</script></body></html>"
    )


def _embedded(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
