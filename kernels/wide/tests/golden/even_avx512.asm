   0  vmovups zmm9, [rdi]
   6  vshufps zmm9, zmm9, [rdi+40h], 88h
   e  vmovups zmm13, [80h]
  18  vpermpd zmm9, zmm13, zmm9
  1e  vpxor xmm11, xmm11, xmm11
  23  vmaxps zmm10, zmm9, zmm11
  29  vminps zmm7, zmm10, [0C0h]{1to16}
  33  mov r10d, 0FFFFFFFFh
  39  bzhi r10d, r10d, edx
  3e  kmovw k1, r10d
  43  vmovups [rsi]{k1}, zmm7
  49  vzeroupper
  4c  ret
