\d
\d+
\d customers
\d+ customers
\d orders
\d+ orders
\dS
\dS+ pg_class
\d customer_contacts
\d+ customer_contacts
\d orders_id_seq
\d customers_pkey
\da
\da+ sum
\dA
\dA+
\dAc
\dAc+ btree
\dAf
\dAf+
\dAo
\dAo+ btree
\dAp
\dAp+ btree
\db
\db+
\dc
\dcS+
\dC
\dC+
\dconfig+ work_mem
\dd
\ddS
\dD
\dDS+
\ddp
\dE
\dE+
\des
\des+
\det
\det+
\deu
\deu+
\dew
\dew+
\df
\df+
\dfS+ pg_sleep*
\dfa
\dfn
\dfp
\dft
\dfw
\dF
\dF+
\dFd
\dFd+
\dFp
\dFp+
\dFt
\dFt+
\dg
\dg+
\di
\di+
\diS
\dl
\dl+
\dL
\dL+
\dm
\dm+
\dn
\dn+
\dnS
\do
\do+ =
\doS
\dO
\dO+
\dOS
\dp
\dp customers
\dpS
\dP
\dP+
\dPn
\dPi
\drds
\dRp
\dRp+
\dRs
\dRs+
\ds
\ds+
\dt
\dt+
\dtvmsE
\dT
\dT+
\dTS+
\du
\du+
\dv
\dv+
\dx
\dx+
\dX
\dy
\dy+
\l
\l+
\l shop
\z
\z customers
\sf format_type
\sf+ pg_size_pretty
\sv customer_contacts
\sv+ customer_contacts
\encoding
\lo_list
\lo_list+
\copy (select id, item from orders order by id) to stdout csv header
\copy imports to stdout
\crosstabview
\x on
select 1;
\x off
select id, name from customers \gx
select 'select 1 as a' \gexec
select 1 as one \gset
\echo :one
select * from orders \gdesc
