// The peer of the AgentX benchmark: a subagent of Net-SNMP's own library with a
// table like that of sessions, ROWS rows of 15 columns, in its fastest helper.
// ROWS=N csub SOCKET
#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>
#include <net-snmp/agent/table_container.h>
#include <net-snmp/agent/table_tdata.h>
#include <signal.h>
#include <time.h>
#include <string.h>

typedef struct {
    netsnmp_index index; oid id[1];
    char user[24], ifname[12], calling[16], err[16];
    unsigned ip; int peerpid, state, mppe, auth, mtu;
    unsigned callid, peercall, uptime;
    struct counter64 in, out, inp, outp;
} row;
static oid root[] = {1,3,6,1,4,1,8072,9999,9999,1,1};   /* ...1.1 = table, entry .1 below */
static netsnmp_container *cont; static netsnmp_tdata *td;
static void c64(struct counter64 *c, unsigned long long v){c->high=v>>32;c->low=v&0xffffffff;}
static void fill(row *r, unsigned i) {
    memset(r,0,sizeof *r);
    r->id[0]=i; r->index.len=1; r->index.oids=r->id;
    snprintf(r->user,sizeof r->user,"user%06u@example",i); snprintf(r->ifname,sizeof r->ifname,"ppp%u",i-1);
    snprintf(r->calling,sizeof r->calling,"10.%u.%u.%u",(i>>16)&255,(i>>8)&255,i&255);
    r->ip=htonl(0x0a800000u+i); r->state=4; r->mppe=128; r->auth=3; r->mtu=1400; r->peerpid=10000+(int)i;
    r->callid=i&65535; r->peercall=(i*7)&65535; r->uptime=i*100;
    c64(&r->in,i*1234567ULL); c64(&r->out,i*7654321ULL); c64(&r->inp,i*1000ULL); c64(&r->outp,i*5000ULL);
}
static void answer(netsnmp_request_info *q, row *r, unsigned col) {
    netsnmp_variable_list *v=q->requestvb;
#define I(x) snmp_set_var_typed_integer(v,ASN_INTEGER,x)
#define U(t,x) snmp_set_var_typed_integer(v,t,x)
#define S(x) snmp_set_var_typed_value(v,ASN_OCTET_STR,x,strlen(x))
#define C(x) snmp_set_var_typed_value(v,ASN_COUNTER64,&x,sizeof x)
    switch(col){
    case 2: S(r->user); break; case 3: S(r->calling); break;
    case 4: snmp_set_var_typed_value(v,ASN_IPADDRESS,&r->ip,4); break;
    case 5: S(r->ifname); break; case 6: I(r->state); break; case 7: I(r->mppe); break; case 8: I(r->auth); break;
    case 9: U(ASN_UNSIGNED,r->callid); break; case 10: U(ASN_UNSIGNED,r->peercall); break; case 11: U(ASN_TIMETICKS,r->uptime); break;
    case 12: C(r->in); break; case 13: C(r->out); break; case 14: C(r->inp); break; case 15: C(r->outp); break; case 16: I(r->mtu); break;
    default: netsnmp_set_request_error(0,q,SNMP_NOSUCHOBJECT);
    }
}
static int h_cont(netsnmp_mib_handler*h,netsnmp_handler_registration*rg,netsnmp_agent_request_info*ri,netsnmp_request_info*q){
    for(;q;q=q->next){ if(q->processed)continue;
        row*r=(row*)netsnmp_container_table_extract_context(q); netsnmp_table_request_info*ti=netsnmp_extract_table_info(q);
        if(!r||!ti){netsnmp_set_request_error(ri,q,SNMP_NOSUCHINSTANCE);continue;} answer(q,r,ti->colnum);} return SNMP_ERR_NOERROR; }
static int h_td(netsnmp_mib_handler*h,netsnmp_handler_registration*rg,netsnmp_agent_request_info*ri,netsnmp_request_info*q){
    for(;q;q=q->next){ if(q->processed)continue;
        row*r=(row*)netsnmp_tdata_extract_entry(q); netsnmp_table_request_info*ti=netsnmp_extract_table_info(q);
        if(!r||!ti){netsnmp_set_request_error(ri,q,SNMP_NOSUCHINSTANCE);continue;} answer(q,r,ti->colnum);} return SNMP_ERR_NOERROR; }
static void freerow(void*d,void*x){free(d);}
static double cpu(void){struct timespec t;clock_gettime(CLOCK_PROCESS_CPUTIME_ID,&t);return t.tv_sec*1e3+t.tv_nsec/1e6;}
void init_csub(void){
    unsigned n=getenv("ROWS")?atoi(getenv("ROWS")):1000; int tdm=getenv("HELPER")&&!strcmp(getenv("HELPER"),"tdata"); int rf=getenv("REFRESH")?atoi(getenv("REFRESH")):0;
    netsnmp_table_registration_info*ti=SNMP_MALLOC_TYPEDEF(netsnmp_table_registration_info);
    netsnmp_table_helper_add_indexes(ti,ASN_UNSIGNED,0); ti->min_column=2; ti->max_column=16;
    netsnmp_handler_registration*rg=netsnmp_create_handler_registration("csub",tdm?h_td:h_cont,root,OID_LENGTH(root),HANDLER_CAN_RONLY);
    if(tdm){ td=netsnmp_tdata_create_table("csub",0);
        for(unsigned i=1;i<=n;i++){row*r=malloc(sizeof*r);fill(r,i);netsnmp_tdata_row*t=netsnmp_tdata_create_row();t->data=r;netsnmp_tdata_row_add_index(t,ASN_UNSIGNED,&i,sizeof i);netsnmp_tdata_add_row(td,t);}
        netsnmp_tdata_register(rg,td,ti);
    } else { cont=netsnmp_container_find("csub:table_container");
        for(int k=0;k<=rf;k++){ double t=cpu(); if(k)CONTAINER_CLEAR(cont,freerow,0);
            for(unsigned i=1;i<=n;i++){row*r=malloc(sizeof*r);fill(r,i);CONTAINER_INSERT(cont,r);} CONTAINER_FIRST(cont);
            if(rf)fprintf(stderr,"rebuild %u rows: %.2f ms cpu\n",n,cpu()-t); }
        netsnmp_container_table_register(rg,ti,cont,TABLE_CONTAINER_KEY_NETSNMP_INDEX);
    }
}
#ifndef DLMOD
static volatile int run=1; static void stop(int s){run=0;}
int main(int ac,char**av){
    netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID,NETSNMP_DS_AGENT_ROLE,1);
    netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID,NETSNMP_DS_AGENT_X_SOCKET,av[1]);
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID,NETSNMP_DS_LIB_DONT_READ_CONFIGS,1);
    netsnmp_ds_set_string(NETSNMP_DS_LIBRARY_ID,NETSNMP_DS_LIB_MIBDIRS,"");
    snmp_disable_log(); signal(SIGTERM,stop);signal(SIGINT,stop);
    init_agent("csub"); init_csub(); init_snmp("csub"); fprintf(stderr,"csub ready\n");
    while(run)agent_check_and_process(1);
    snmp_shutdown("csub"); return 0;
}
#endif
